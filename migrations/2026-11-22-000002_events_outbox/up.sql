CREATE TABLE events (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    org_id     text NOT NULL,
    kind       text NOT NULL CHECK (kind <> ''),
    subject    text NOT NULL,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX events_org_seq_idx ON events (org_id, seq);

COMMENT ON TABLE events IS 'Transactional outbox: what happened, written in the same transaction as the change; never changed afterwards';
COMMENT ON COLUMN events.seq IS 'Order of writing; consumers must allow for transactions that commit out of this order';
COMMENT ON COLUMN events.id IS 'evt_…, sortable by time';
COMMENT ON COLUMN events.org_id IS 'The organisation whose stream it belongs to';
COMMENT ON COLUMN events.kind IS 'What happened, for example payment.settled';
COMMENT ON COLUMN events.subject IS 'The id of what it happened to; events of one subject are delivered in order';
COMMENT ON COLUMN events.payload IS 'What is known of it';
COMMENT ON COLUMN events.created_at IS 'When it happened';

CREATE TABLE idempotency_keys (
    org_id         text NOT NULL,
    scope          text NOT NULL,
    key            text NOT NULL,
    request_sha256 bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
    response       bytea,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL CHECK (expires_at > created_at),
    PRIMARY KEY (org_id, scope, key)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

COMMENT ON TABLE idempotency_keys IS 'First answers to repeatable requests, written in the transaction of the effect';
COMMENT ON COLUMN idempotency_keys.org_id IS 'The organisation that asked';
COMMENT ON COLUMN idempotency_keys.scope IS 'The method, so that one key may be used with several';
COMMENT ON COLUMN idempotency_keys.key IS 'As the client chose it';
COMMENT ON COLUMN idempotency_keys.request_sha256 IS 'SHA-256 of the request without its key; another request under the same key is refused';
COMMENT ON COLUMN idempotency_keys.response IS 'The encoded reply; null only inside the transaction that claims the key';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When it was claimed';
COMMENT ON COLUMN idempotency_keys.expires_at IS 'When the key is free again';
