DROP TABLE event_cursors;
DROP INDEX events_org_created_at_idx;
DROP INDEX events_xid_idx;
ALTER TABLE events DROP COLUMN xid;
