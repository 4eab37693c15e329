-- Rows of before get the number of this transaction: they are older than everything that follows.
ALTER TABLE events ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX events_xid_idx ON events (xid);
-- Streams of organisations are read by time; one index more would cost every payment.
DROP INDEX events_org_seq_idx;
CREATE INDEX events_org_created_at_idx ON events (org_id, created_at, seq);
COMMENT ON COLUMN events.xid IS 'The transaction that wrote it; a consumer reads it once no transaction up to this one is still open';

CREATE TABLE event_cursors (
    consumer   text PRIMARY KEY CHECK (consumer <> ''),
    from_xid   xid8 NOT NULL,
    to_xid     xid8 NOT NULL,
    after_seq  bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (from_xid <= to_xid)
);
COMMENT ON TABLE event_cursors IS 'How far each consumer has read the outbox; moved in the transaction of what the consumer wrote';
COMMENT ON COLUMN event_cursors.consumer IS 'The name of the consumer';
COMMENT ON COLUMN event_cursors.from_xid IS 'Events of transactions before this one have been read';
COMMENT ON COLUMN event_cursors.to_xid IS 'Where the window that is being read ends: events of transactions from this one on wait for the next window';
COMMENT ON COLUMN event_cursors.after_seq IS 'Within the window, events up to this one have been read';
COMMENT ON COLUMN event_cursors.updated_at IS 'When it was last moved';
