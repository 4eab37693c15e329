-- What payments decided in groups need: running totals instead of sums over a month, and a ledger that is chained.

-- Every payment that was approved carries the total of its payer up to it, so what was committed in any window is the
-- difference of two rows, however many lie between.
ALTER TABLE transactions
    ADD COLUMN counted_at timestamptz,
    ADD COLUMN spent_total_minor numeric(38, 0);
UPDATE transactions t SET counted_at = t.created_at, spent_total_minor = c.total
    FROM (SELECT org_id, id, sum(amount_minor) OVER (PARTITION BY org_id, requesting_agent_id, currency ORDER BY created_at, seq) AS total
          FROM transactions WHERE status IN ('settled', 'authorized', 'executing', 'escrow_held', 'disputed', 'refunded')) AS c
    WHERE t.org_id = c.org_id AND t.id = c.id;
ALTER TABLE transactions
    ADD CONSTRAINT transactions_counted_check CHECK ((counted_at IS NULL) = (spent_total_minor IS NULL)),
    ADD CONSTRAINT transactions_committed_check CHECK (counted_at IS NOT NULL
        OR status NOT IN ('settled', 'authorized', 'executing', 'escrow_held', 'disputed', 'refunded'));
DROP INDEX transactions_window_idx;
CREATE INDEX transactions_window_idx ON transactions (org_id, requesting_agent_id, currency, counted_at, spent_total_minor)
    INCLUDE (amount_minor) WHERE counted_at IS NOT NULL;
-- What came back counts in no window; it is seldom.
CREATE INDEX transactions_refunded_idx ON transactions (org_id, requesting_agent_id, currency, counted_at)
    INCLUDE (amount_minor) WHERE status = 'refunded';
COMMENT ON COLUMN transactions.counted_at IS 'When it was approved, by the rules or by a human; the rolling windows count by it; never before an earlier one of the payer';
COMMENT ON COLUMN transactions.spent_total_minor IS 'Everything the payer ever committed in the currency, up to and with this payment';
COMMENT ON COLUMN transactions.created_at IS 'When it was requested';

-- Balances change with every payment: room on the page spares the indexes.
ALTER TABLE wallets SET (fillfactor = 70);

-- The journals of an organisation form a chain: each has the SHA-256 of the one before and of itself.
ALTER TABLE ledger_journals ADD COLUMN chain_seq bigint, ADD COLUMN chain_hash bytea;
CREATE TABLE ledger_heads (
    org_id     text PRIMARY KEY,
    chain_seq  bigint NOT NULL CHECK (chain_seq >= 0),
    chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32)
);
COMMENT ON TABLE ledger_heads IS 'The last journal of each organisation; its row is the last lock of whoever moves money';
COMMENT ON COLUMN ledger_heads.org_id IS 'The organisation';
COMMENT ON COLUMN ledger_heads.chain_seq IS 'The place of its last journal; 0 before the first';
COMMENT ON COLUMN ledger_heads.chain_hash IS 'The hash of its last journal; zeros before the first';
COMMENT ON COLUMN ledger_journals.chain_seq IS 'Place in the chain of the organisation, from 1 without gaps';
COMMENT ON COLUMN ledger_journals.chain_hash IS 'SHA-256 of the hash before, the journal and its entries; docs/payments.md says of which text';

ALTER TABLE ledger_journals DISABLE TRIGGER ledger_journals_append_only;
DO $$
DECLARE
    journal record;
    head ledger_heads;
BEGIN
    FOR journal IN SELECT * FROM ledger_journals ORDER BY org_id, created_at, id LOOP
        IF head.org_id IS DISTINCT FROM journal.org_id THEN
            head := ROW (journal.org_id, 0, decode(repeat('00', 32), 'hex'));
        END IF;
        head.chain_seq := head.chain_seq + 1;
        SELECT sha256(convert_to(concat_ws('|', encode(head.chain_hash, 'hex'), journal.org_id, head.chain_seq, journal.id, journal.kind,
                   coalesce(journal.transaction_id, ''), (extract(epoch FROM journal.created_at) * 1000000)::bigint)
                   || coalesce(string_agg(E'\n' || concat_ws('|', e.line, e.account, e.account_org_id, coalesce(e.wallet_id, ''), e.currency,
                   e.amount_minor, coalesce(e.balance_after_minor::text, '')), '' ORDER BY e.line), ''), 'UTF8'))
            INTO head.chain_hash FROM ledger_entries e WHERE e.org_id = journal.org_id AND e.journal_id = journal.id;
        UPDATE ledger_journals SET chain_seq = head.chain_seq, chain_hash = head.chain_hash
            WHERE org_id = journal.org_id AND id = journal.id;
        INSERT INTO ledger_heads VALUES (head.org_id, head.chain_seq, head.chain_hash)
            ON CONFLICT (org_id) DO UPDATE SET chain_seq = EXCLUDED.chain_seq, chain_hash = EXCLUDED.chain_hash;
    END LOOP;
END $$;
ALTER TABLE ledger_journals ENABLE TRIGGER ledger_journals_append_only;
ALTER TABLE ledger_journals
    ALTER COLUMN chain_seq SET NOT NULL,
    ALTER COLUMN chain_hash SET NOT NULL,
    ADD CONSTRAINT ledger_journals_chain_key UNIQUE (org_id, chain_seq),
    ADD CONSTRAINT ledger_journals_chain_check CHECK (chain_seq >= 1 AND octet_length(chain_hash) = 32);

-- Once a statement instead of once an entry: the entries of a journal are written by one statement.
DROP TRIGGER ledger_entries_balance ON ledger_entries;
CREATE OR REPLACE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    faulty record;
BEGIN
    SELECT org_id, journal_id INTO faulty FROM added GROUP BY org_id, journal_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger journal % of % does not sum to zero', faulty.journal_id, faulty.org_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_balance';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ledger_check_balance() IS 'The entries that a statement writes sum to zero per journal and currency';
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_balance();
