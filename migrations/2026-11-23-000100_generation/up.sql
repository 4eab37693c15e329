-- What processes remember of policies and keys is true as long as this row says the same. Its name changes in the transaction of
-- each change, whoever makes it, and is random: it does not come back when a database is restored or a failover loses something.
CREATE TABLE generation (
    is_current boolean PRIMARY KEY DEFAULT true CHECK (is_current),
    id         uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO generation DEFAULT VALUES;
COMMENT ON TABLE generation IS 'One row: what was read of policies, the hierarchy of organisations, and API keys under its id is true while it has it';
COMMENT ON COLUMN generation.is_current IS 'Always true, so that there is one row';
COMMENT ON COLUMN generation.id IS 'Another one after every change';

CREATE FUNCTION begin_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE generation SET id = gen_random_uuid() WHERE is_current;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION begin_generation() IS 'What was remembered is not true any more';

CREATE TRIGGER policies_generation AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON policies
    FOR EACH STATEMENT EXECUTE FUNCTION begin_generation();
CREATE TRIGGER organizations_generation AFTER UPDATE OF id, parent_id OR DELETE OR TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION begin_generation();
-- Not by the note of when a key was last used, and not by a new key, which nobody remembers.
CREATE TRIGGER api_keys_generation AFTER UPDATE OF id, org_id, user_id, kind, sha256, permissions, ip_whitelist, allowed_agents, revoked_at
    OR DELETE OR TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION begin_generation();
