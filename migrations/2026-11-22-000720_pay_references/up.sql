-- A payment names the version of the policy that decided it instead of carrying a copy: the copy was half of what a payment
-- took to write, and most of what it took to keep.

CREATE TABLE policy_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id text NOT NULL,
    policy_id text NOT NULL,
    snapshot jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX policy_versions_policy_idx ON policy_versions (org_id, policy_id, id);
COMMENT ON TABLE policy_versions IS 'What policies said, from one change to the next; never changed, never deleted';
COMMENT ON COLUMN policy_versions.id IS 'Its name: later versions have higher ones';
COMMENT ON COLUMN policy_versions.org_id IS 'The organisation of the policy';
COMMENT ON COLUMN policy_versions.policy_id IS 'pol_…';
COMMENT ON COLUMN policy_versions.snapshot IS 'What it said';
COMMENT ON COLUMN policy_versions.created_at IS 'Since when';

ANALYZE transactions, policies;

INSERT INTO policy_versions (org_id, policy_id, snapshot, created_at)
    SELECT policy_snapshot->>'org_id', policy_snapshot->>'id', policy_snapshot, min(created_at) FROM transactions
    WHERE policy_snapshot IS NOT NULL GROUP BY policy_snapshot ORDER BY min(created_at);
ALTER TABLE transactions ADD COLUMN policy_version_id bigint;
UPDATE transactions t SET policy_version_id = v.id FROM policy_versions v WHERE v.snapshot = t.policy_snapshot;
ALTER TABLE transactions DROP COLUMN policy_snapshot;
COMMENT ON COLUMN transactions.policy_version_id IS 'What the policy that decided it said then; null if there was none';

CREATE TEMPORARY TABLE policies_now ON COMMIT DROP AS SELECT org_id, id, updated_at, jsonb_build_object('id', id, 'org_id', org_id,
    'policy_name', policy_name, 'agent_id', agent_id, 'max_per_transaction_minor', max_per_transaction_minor, 'max_daily_minor',
    max_daily_minor, 'max_monthly_minor', max_monthly_minor, 'currency', currency, 'require_human_above_minor',
    require_human_above_minor, 'approved_counterparties', approved_counterparties, 'blocked_counterparties',
    blocked_counterparties, 'allowed_categories', allowed_categories, 'compliance_precheck', compliance_precheck,
    'compliance_jurisdictions', compliance_jurisdictions) AS snapshot FROM policies;
INSERT INTO policy_versions (org_id, policy_id, snapshot, created_at) SELECT org_id, id, snapshot, updated_at FROM policies_now n
    WHERE NOT EXISTS (SELECT FROM policy_versions v WHERE v.snapshot = n.snapshot) ORDER BY updated_at;
ALTER TABLE policies ADD COLUMN version_id bigint REFERENCES policy_versions (id);
UPDATE policies p SET version_id = v.id FROM policies_now n JOIN policy_versions v ON v.snapshot = n.snapshot
    WHERE n.org_id = p.org_id AND n.id = p.id;
ALTER TABLE policies ALTER COLUMN version_id SET NOT NULL;
COMMENT ON COLUMN policies.version_id IS 'What it says now';

CREATE TRIGGER policy_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_versions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- Domains, as before: a check of a table is read anew by every statement.
CREATE DOMAIN ledger_place AS bigint CHECK (VALUE >= 1);
CREATE DOMAIN ledger_hash AS bytea CHECK (octet_length(VALUE) = 32);
COMMENT ON DOMAIN ledger_place IS 'A place in the chain of an organisation, from 1';
COMMENT ON DOMAIN ledger_hash IS 'SHA-256';
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_chain_check,
    ALTER COLUMN chain_seq TYPE ledger_place,
    ALTER COLUMN chain_hash TYPE ledger_hash;
