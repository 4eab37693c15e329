ALTER TABLE ledger_journals
    ALTER COLUMN chain_seq TYPE bigint,
    ALTER COLUMN chain_hash TYPE bytea,
    ADD CONSTRAINT ledger_journals_chain_check CHECK (chain_seq >= 1 AND octet_length(chain_hash) = 32);
DROP DOMAIN ledger_place, ledger_hash;
ALTER TABLE transactions ADD COLUMN policy_snapshot jsonb;
UPDATE transactions t SET policy_snapshot = v.snapshot FROM policy_versions v WHERE v.id = t.policy_version_id;
ALTER TABLE transactions DROP COLUMN policy_version_id;
ALTER TABLE policies DROP COLUMN version_id;
DROP TABLE policy_versions;
