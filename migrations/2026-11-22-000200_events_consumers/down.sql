DROP TABLE event_cursors;
DROP INDEX events_org_created_at_idx;
CREATE INDEX events_org_seq_idx ON events (org_id, seq);
DROP INDEX events_xid_idx;
ALTER TABLE events DROP COLUMN xid;
