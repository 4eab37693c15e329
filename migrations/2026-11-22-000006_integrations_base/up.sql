CREATE TABLE integrations (
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id text NOT NULL CHECK (id LIKE 'int\_%'),
    service text NOT NULL CHECK (service <> ''),
    name text NOT NULL CHECK (name <> ''),
    enabled boolean NOT NULL DEFAULT true,
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
    secrets bytea,
    synchronizations jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(synchronizations) = 'array'),
    api_key_prefix text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_sync_at timestamptz,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX integrations_created ON integrations (org_id, created_at DESC, id DESC);
COMMENT ON TABLE integrations IS 'Integrations that a tenant configured; several of one service are allowed.';
COMMENT ON COLUMN integrations.org_id IS 'The tenant.';
COMMENT ON COLUMN integrations.id IS 'int_…, sorts by the time it was made.';
COMMENT ON COLUMN integrations.service IS 'The service of its manifest in the catalogue.';
COMMENT ON COLUMN integrations.name IS 'The name to show.';
COMMENT ON COLUMN integrations.enabled IS 'Whether new events are dispatched to it.';
COMMENT ON COLUMN integrations.settings IS 'Settings as they are shown: secret ones stand here masked.';
COMMENT ON COLUMN integrations.secrets IS 'Sealed JSON object of the secret settings; null when there are none.';
COMMENT ON COLUMN integrations.synchronizations IS 'List of {eventType, enabled, retryCount}.';
COMMENT ON COLUMN integrations.api_key_prefix IS 'The first characters of the inbound key of a custom integration.';
COMMENT ON COLUMN integrations.created_at IS 'When it was created.';
COMMENT ON COLUMN integrations.updated_at IS 'When it last changed.';
COMMENT ON COLUMN integrations.last_sync_at IS 'When it last synchronised.';
