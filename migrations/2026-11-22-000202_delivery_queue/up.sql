CREATE TABLE delivery_endpoints (
    org_id                text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id                    text NOT NULL,
    api                   text NOT NULL CHECK (api <> ''),
    url                   text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    description           text,
    kinds                 text[] NOT NULL CHECK (cardinality(kinds) > 0),
    labels                text[] NOT NULL DEFAULT '{}',
    status                text NOT NULL CHECK (status IN ('active', 'disabled')),
    failure_count         integer NOT NULL DEFAULT 0 CHECK (failure_count >= 0),
    last_error            text,
    secret                bytea NOT NULL,
    previous_secret       bytea,
    previous_valid_until  timestamptz,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK ((previous_secret IS NULL) = (previous_valid_until IS NULL))
);
CREATE INDEX delivery_endpoints_created_at_idx ON delivery_endpoints (org_id, api, created_at DESC, id DESC);
COMMENT ON TABLE delivery_endpoints IS 'Addresses of organisations that events are delivered to';
COMMENT ON COLUMN delivery_endpoints.org_id IS 'The organisation whose events it gets';
COMMENT ON COLUMN delivery_endpoints.id IS 'Opaque, with the prefix of its API, for example whk_…';
COMMENT ON COLUMN delivery_endpoints.api IS 'Which API''s profile (headers, schedule, rules) it is delivered to with';
COMMENT ON COLUMN delivery_endpoints.url IS 'Where to';
COMMENT ON COLUMN delivery_endpoints.description IS 'Free text';
COMMENT ON COLUMN delivery_endpoints.kinds IS 'The kinds of events it gets';
COMMENT ON COLUMN delivery_endpoints.labels IS 'If not empty, only events that carry one of these labels';
COMMENT ON COLUMN delivery_endpoints.status IS 'active, or disabled: gets nothing until it is made active again';
COMMENT ON COLUMN delivery_endpoints.failure_count IS 'Attempts that failed since the last one that succeeded';
COMMENT ON COLUMN delivery_endpoints.last_error IS 'Why the last attempt failed; null after one that succeeded';
COMMENT ON COLUMN delivery_endpoints.secret IS 'Sealed; signs every delivery';
COMMENT ON COLUMN delivery_endpoints.previous_secret IS 'Sealed; the secret before, which signs as well for a while';
COMMENT ON COLUMN delivery_endpoints.previous_valid_until IS 'Until when the secret before signs as well';
COMMENT ON COLUMN delivery_endpoints.created_at IS 'When it was registered';
COMMENT ON COLUMN delivery_endpoints.updated_at IS 'When its owner last changed it';

CREATE TABLE deliveries (
    org_id          text NOT NULL,
    endpoint_id     text NOT NULL,
    id              text NOT NULL,
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    api             text NOT NULL CHECK (api <> ''),
    event_id        text NOT NULL,
    event_seq       bigint,
    event_type      text NOT NULL,
    ordering_key    text NOT NULL,
    body            text NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_at          timestamptz NOT NULL,
    token           bigint NOT NULL DEFAULT 0 CHECK (token >= 0),
    worker          text,
    attempted_at    timestamptz,
    request_headers jsonb,
    response_status integer CHECK (response_status BETWEEN 100 AND 999),
    response_body   text CHECK (length(response_body) <= 4096),
    duration_ms     bigint CHECK (duration_ms >= 0),
    last_error      text,
    created_at      timestamptz NOT NULL,
    delivered_at    timestamptz,
    PRIMARY KEY (org_id, endpoint_id, id),
    FOREIGN KEY (org_id, endpoint_id) REFERENCES delivery_endpoints (org_id, id) ON DELETE CASCADE,
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
    CHECK (status = 'pending' OR worker IS NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX deliveries_due_idx ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_order_idx ON deliveries (org_id, endpoint_id, ordering_key, seq) WHERE status = 'pending';
CREATE INDEX deliveries_created_at_idx ON deliveries USING brin (created_at);
COMMENT ON TABLE deliveries IS 'What is or was sent to endpoints, with the last request and its response';
COMMENT ON COLUMN deliveries.org_id IS 'The organisation';
COMMENT ON COLUMN deliveries.endpoint_id IS 'The endpoint; its deliveries go with it';
COMMENT ON COLUMN deliveries.id IS 'dlv_…, sorts by the time it was made';
COMMENT ON COLUMN deliveries.seq IS 'Order of writing; those of one ordering key go out in this order';
COMMENT ON COLUMN deliveries.api IS 'The API of the endpoint';
COMMENT ON COLUMN deliveries.event_id IS 'The event, as its receiver knows it';
COMMENT ON COLUMN deliveries.event_seq IS 'The event in the outbox; null for one that is not there, such as a test';
COMMENT ON COLUMN deliveries.event_type IS 'The kind of the event';
COMMENT ON COLUMN deliveries.ordering_key IS 'Of one endpoint and key only the first pending one is sent';
COMMENT ON COLUMN deliveries.body IS 'The body that is sent and signed, byte for byte';
COMMENT ON COLUMN deliveries.status IS 'pending, delivered (answered with 2xx) or failed (given up)';
COMMENT ON COLUMN deliveries.attempts IS 'How often it was sent, or begun to be';
COMMENT ON COLUMN deliveries.due_at IS 'Not before this instant; while a worker holds it, the end of its lease';
COMMENT ON COLUMN deliveries.token IS 'Counts the leases; who holds an older one may record nothing';
COMMENT ON COLUMN deliveries.worker IS 'Who is sending it now';
COMMENT ON COLUMN deliveries.attempted_at IS 'When the last attempt was made';
COMMENT ON COLUMN deliveries.request_headers IS 'The headers of the last attempt, by name';
COMMENT ON COLUMN deliveries.response_status IS 'The status of its response; null when there was none';
COMMENT ON COLUMN deliveries.response_body IS 'The beginning of its response';
COMMENT ON COLUMN deliveries.duration_ms IS 'How long it took';
COMMENT ON COLUMN deliveries.last_error IS 'Why it failed';
COMMENT ON COLUMN deliveries.created_at IS 'When it was made';
COMMENT ON COLUMN deliveries.delivered_at IS 'When it was answered with 2xx';
