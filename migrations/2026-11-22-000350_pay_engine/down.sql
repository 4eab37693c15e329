DROP TRIGGER ledger_entries_balance ON ledger_entries;
CREATE OR REPLACE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM ledger_entries WHERE org_id = NEW.org_id AND journal_id = NEW.journal_id
               GROUP BY currency HAVING sum(amount_minor) <> 0) THEN
        RAISE EXCEPTION 'ledger journal % of % does not sum to zero', NEW.journal_id, NEW.org_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_balance';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger_check_balance() IS 'At commit: the entries of a journal sum to zero per currency';
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_check_balance();

ALTER TABLE ledger_journals DROP COLUMN chain_seq, DROP COLUMN chain_hash;
DROP TABLE ledger_heads;
ALTER TABLE wallets RESET (fillfactor);

DROP INDEX transactions_refunded_idx;
ALTER TABLE transactions DROP COLUMN counted_at, DROP COLUMN spent_total_minor;
CREATE INDEX transactions_window_idx ON transactions (org_id, requesting_agent_id, currency, created_at)
    INCLUDE (amount_minor) WHERE status IN ('settled', 'authorized', 'executing', 'escrow_held');
COMMENT ON COLUMN transactions.created_at IS 'When it was requested; the rolling windows count by it';
