CREATE TABLE connections (
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id text NOT NULL,
    connector_type text NOT NULL CHECK (connector_type <> ''),
    name text NOT NULL CHECK (name <> ''),
    direction text NOT NULL CHECK (direction IN ('source', 'destination', 'both')),
    state text NOT NULL CHECK (state IN ('active', 'shadow', 'paused', 'error')),
    config jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object'),
    secret bytea,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX connections_created ON connections (org_id, created_at DESC, id);
COMMENT ON TABLE connections IS 'Connections of the hub to the systems of a tenant.';
COMMENT ON COLUMN connections.org_id IS 'The tenant.';
COMMENT ON COLUMN connections.id IS 'Opaque, sorts by the time it was made.';
COMMENT ON COLUMN connections.connector_type IS 'The type of its connector in the catalogue.';
COMMENT ON COLUMN connections.name IS 'The name to show.';
COMMENT ON COLUMN connections.direction IS 'Whether events come from it, go to it, or both.';
COMMENT ON COLUMN connections.state IS 'active works, shadow does everything but write to the destination, paused and error do nothing.';
COMMENT ON COLUMN connections.config IS 'Settings without secrets.';
COMMENT ON COLUMN connections.secret IS 'Sealed JSON object of credentials, the webhook secret among them; null when there are none.';
COMMENT ON COLUMN connections.created_at IS 'When it was created.';
COMMENT ON COLUMN connections.updated_at IS 'When it last changed.';

CREATE TABLE hub_events (
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id text NOT NULL,
    dedup_key text NOT NULL CHECK (length(dedup_key) = 64),
    connection_id text,
    type text NOT NULL CHECK (length(type) BETWEEN 1 AND 255),
    external_id text NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    occurred_at timestamptz NOT NULL,
    payload json NOT NULL CHECK (json_typeof(payload) = 'object'),
    received_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX hub_events_dedup ON hub_events (org_id, dedup_key);
CREATE INDEX hub_events_received ON hub_events (org_id, received_at DESC, id DESC);
COMMENT ON TABLE hub_events IS 'Events taken in by the hub, each once per tenant and external id.';
COMMENT ON COLUMN hub_events.org_id IS 'The tenant.';
COMMENT ON COLUMN hub_events.id IS 'Opaque, sorts by the time it was taken.';
COMMENT ON COLUMN hub_events.dedup_key IS 'SHA-256 in hexadecimal of tenant id, ":ingest:" and external id; the type is not part of it.';
COMMENT ON COLUMN hub_events.connection_id IS 'The source connection; null at the tenant''s own door. Stays when the connection is deleted.';
COMMENT ON COLUMN hub_events.type IS 'Canonical event type, for example order.created.';
COMMENT ON COLUMN hub_events.external_id IS 'The id of the event in the source system.';
COMMENT ON COLUMN hub_events.occurred_at IS 'When it happened, as the source says.';
COMMENT ON COLUMN hub_events.payload IS 'Exactly as received: json keeps the text, jsonb would not.';
COMMENT ON COLUMN hub_events.received_at IS 'When it was taken.';
