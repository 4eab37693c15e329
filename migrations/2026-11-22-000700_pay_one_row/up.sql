-- One fact, one row: a decision is part of its transaction, a movement of money is one row with two sides, and the history
-- of a payment is what the outbox says of it. What a value may be is said by its domain: a check of a table is read anew
-- by every statement that writes to it, and took more time than the row.

-- What is not planned well takes hours on tables of some size.
ANALYZE transactions, authorizations, payment_events, events, ledger_journals, ledger_entries;

CREATE DOMAIN pay_label AS text CHECK (VALUE <> '');
CREATE DOMAIN pay_currency AS text CHECK (VALUE ~ '^[A-Z]{3}$');
CREATE DOMAIN pay_amount AS bigint CHECK (VALUE > 0 AND VALUE <= 1000000000000000);
CREATE DOMAIN pay_balance AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN pay_metadata AS json CHECK (json_typeof(VALUE) = 'object');
CREATE DOMAIN pay_status AS text CHECK (VALUE IN ('pending_human_review', 'authorized', 'executing', 'settled', 'denied', 'failed',
    'escrow_held', 'disputed', 'refunded'));
CREATE DOMAIN pay_decision AS text CHECK (VALUE IN ('approved', 'denied', 'pending_human_review'));
CREATE DOMAIN pay_compliance AS text CHECK (VALUE IN ('clear', 'flagged', 'blocked'));
CREATE DOMAIN pay_milliseconds AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN ledger_kind AS text CHECK (VALUE IN ('opening', 'fund', 'withdraw', 'payment', 'escrow_hold', 'escrow_release',
    'escrow_refund'));
CREATE DOMAIN ledger_account AS text CHECK (VALUE IN ('wallet', 'held', 'external'));
CREATE DOMAIN ledger_amount AS bigint CHECK (VALUE > 0);
COMMENT ON DOMAIN pay_label IS 'Some characters';
COMMENT ON DOMAIN pay_currency IS 'ISO 4217 code';
COMMENT ON DOMAIN pay_amount IS 'The amount of a payment in minor units, up to ten million millions of the major unit';
COMMENT ON DOMAIN pay_balance IS 'A balance or total in minor units';
COMMENT ON DOMAIN pay_metadata IS 'A JSON object: json, not jsonb, which changes key order and refuses some valid text';
COMMENT ON DOMAIN pay_status IS 'What became of a payment';
COMMENT ON DOMAIN pay_decision IS 'What was decided of a payment';
COMMENT ON DOMAIN pay_compliance IS 'Verdict of a compliance check';
COMMENT ON DOMAIN pay_milliseconds IS 'A measured time';
COMMENT ON DOMAIN ledger_kind IS 'Why money moved';
COMMENT ON DOMAIN ledger_account IS 'wallet for what can be spent of one, held for what escrow holds of one, external for the outside';
COMMENT ON DOMAIN ledger_amount IS 'How much moved, in minor units';

ALTER TABLE wallets
    DROP CONSTRAINT wallets_agent_id_check,
    DROP CONSTRAINT wallets_currency_check,
    DROP CONSTRAINT wallets_available_minor_check,
    DROP CONSTRAINT wallets_held_minor_check,
    DROP CONSTRAINT wallets_lifetime_sent_minor_check,
    DROP CONSTRAINT wallets_lifetime_received_minor_check,
    ALTER COLUMN agent_id TYPE pay_label,
    ALTER COLUMN currency TYPE pay_currency,
    ALTER COLUMN available_minor TYPE pay_balance,
    ALTER COLUMN held_minor TYPE pay_balance,
    ALTER COLUMN lifetime_sent_minor TYPE pay_balance,
    ALTER COLUMN lifetime_received_minor TYPE pay_balance;

-- The decision.
ALTER TABLE transactions
    DROP CONSTRAINT transactions_requesting_agent_id_check,
    DROP CONSTRAINT transactions_counterparty_agent_id_check,
    DROP CONSTRAINT transactions_amount_minor_check,
    DROP CONSTRAINT transactions_currency_check,
    DROP CONSTRAINT transactions_tx_type_check,
    DROP CONSTRAINT transactions_metadata_check,
    DROP CONSTRAINT transactions_status_check,
    DROP CONSTRAINT transactions_check,
    DROP CONSTRAINT transactions_check1,
    DROP CONSTRAINT transactions_check2,
    DROP CONSTRAINT transactions_check3,
    DROP CONSTRAINT transactions_counted_check,
    DROP CONSTRAINT transactions_committed_check,
    ALTER COLUMN requesting_agent_id TYPE pay_label,
    ALTER COLUMN counterparty_agent_id TYPE pay_label,
    ALTER COLUMN amount_minor TYPE pay_amount,
    ALTER COLUMN currency TYPE pay_currency,
    ALTER COLUMN tx_type TYPE pay_label,
    ALTER COLUMN metadata TYPE pay_metadata,
    ALTER COLUMN status TYPE pay_status,
    ADD COLUMN authorization_id text,
    ADD COLUMN decision pay_decision,
    ADD COLUMN reason_code pay_label,
    ADD COLUMN reason_detail text,
    ADD COLUMN compliance_status pay_compliance,
    ADD COLUMN processing_time_ms pay_milliseconds,
    ADD COLUMN decided_at timestamptz;
UPDATE transactions t SET authorization_id = a.id, decision = a.decision, reason_code = a.reason_code, reason_detail = a.reason_detail,
    compliance_status = a.compliance_status, processing_time_ms = a.processing_time_ms, decided_at = a.created_at
    FROM authorizations a WHERE a.org_id = t.org_id AND a.transaction_id = t.id;
ALTER TABLE transactions
    ALTER COLUMN authorization_id SET NOT NULL,
    ALTER COLUMN decision SET NOT NULL,
    ALTER COLUMN reason_code SET NOT NULL,
    ALTER COLUMN processing_time_ms SET NOT NULL,
    ALTER COLUMN decided_at SET NOT NULL,
    ADD CONSTRAINT transactions_counterparty_check CHECK (counterparty_org_id <> org_id
        AND (counterparty_org_id IS NULL OR counterparty_agent_id IS NOT NULL)),
    ADD CONSTRAINT transactions_settled_check CHECK (CASE status WHEN 'settled' THEN settled_at IS NOT NULL
        WHEN 'denied' THEN settled_at IS NULL ELSE true END),
    ADD CONSTRAINT transactions_counted_check CHECK ((counted_at IS NULL) = (spent_total_minor IS NULL)
        AND (counted_at IS NOT NULL OR status IN ('pending_human_review', 'denied', 'failed')));
DROP TABLE authorizations;
COMMENT ON TABLE transactions IS 'Payments as they were requested, what was decided, and what became of them';
COMMENT ON COLUMN transactions.authorization_id IS 'auth_…, the name of the decision';
COMMENT ON COLUMN transactions.decision IS 'approved, denied or pending_human_review';
COMMENT ON COLUMN transactions.reason_code IS 'Machine-readable reason of the decision';
COMMENT ON COLUMN transactions.reason_detail IS 'Why it was not approved';
COMMENT ON COLUMN transactions.compliance_status IS 'Verdict of the compliance check, when it was reached';
COMMENT ON COLUMN transactions.processing_time_ms IS 'Measured time from the request to the decision';
COMMENT ON COLUMN transactions.decided_at IS 'When it was decided';

-- The history. Every row of it was written with its event; the migration stops if one was not.
CREATE INDEX events_subject_idx ON events (subject, seq);
DO $$
BEGIN
    IF EXISTS (SELECT FROM payment_events p WHERE NOT EXISTS (SELECT FROM events e WHERE e.org_id = p.org_id
               AND e.subject = p.transaction_id AND e.payload->>'event_id' = p.id)) THEN
        RAISE EXCEPTION 'payment_events has rows that are not in events';
    END IF;
END $$;
DROP TABLE payment_events;
ALTER TABLE events DROP COLUMN id;

-- The ledger.
ALTER TABLE ledger_journals DISABLE TRIGGER ledger_journals_append_only;
ALTER TABLE ledger_journals
    ADD COLUMN seq bigint,
    ADD COLUMN currency pay_currency,
    ADD COLUMN amount_minor ledger_amount,
    ADD COLUMN from_account ledger_account,
    ADD COLUMN from_wallet_id text,
    ADD COLUMN from_balance_minor pay_balance,
    ADD COLUMN to_account ledger_account,
    ADD COLUMN to_org_id text,
    ADD COLUMN to_wallet_id text,
    ADD COLUMN to_balance_minor pay_balance;
UPDATE ledger_journals j SET seq = f.seq, currency = f.currency, amount_minor = t.amount_minor,
    from_account = f.account, from_wallet_id = f.wallet_id, from_balance_minor = f.balance_after_minor,
    to_account = t.account, to_org_id = nullif(t.account_org_id, j.org_id), to_wallet_id = t.wallet_id,
    to_balance_minor = t.balance_after_minor
    FROM ledger_entries f, ledger_entries t
    WHERE f.org_id = j.org_id AND f.journal_id = j.id AND f.line = 1 AND f.account_org_id = j.org_id
    AND t.org_id = j.org_id AND t.journal_id = j.id AND t.line = 2
    AND t.currency = f.currency AND t.amount_minor = -f.amount_minor;
DROP TABLE ledger_entries;
DROP FUNCTION ledger_check_balance();
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_org_id_transaction_id_fkey,
    DROP CONSTRAINT ledger_journals_pkey,
    DROP CONSTRAINT ledger_journals_chain_key,
    DROP CONSTRAINT ledger_journals_chain_check,
    DROP CONSTRAINT ledger_journals_check,
    DROP CONSTRAINT ledger_journals_kind_check,
    ALTER COLUMN kind TYPE ledger_kind,
    ALTER COLUMN seq SET NOT NULL,
    ALTER COLUMN currency SET NOT NULL,
    ALTER COLUMN amount_minor SET NOT NULL,
    ALTER COLUMN from_account SET NOT NULL,
    ALTER COLUMN to_account SET NOT NULL,
    ADD PRIMARY KEY (org_id, chain_seq),
    ADD CONSTRAINT ledger_journals_chain_check CHECK (chain_seq >= 1 AND octet_length(chain_hash) = 32),
    ADD CONSTRAINT ledger_journals_kind_check CHECK ((transaction_id IS NULL) = (kind IN ('opening', 'fund', 'withdraw'))),
    ADD CONSTRAINT ledger_journals_sides_check CHECK (to_org_id <> org_id
        AND (from_account = 'external') = (from_wallet_id IS NULL) AND (from_wallet_id IS NULL) = (from_balance_minor IS NULL)
        AND (to_account = 'external') = (to_wallet_id IS NULL) AND (to_wallet_id IS NULL) = (to_balance_minor IS NULL)),
    ADD CONSTRAINT ledger_journals_transaction_fkey FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id)
        DEFERRABLE INITIALLY DEFERRED;
DO $$
BEGIN
    EXECUTE format('ALTER TABLE ledger_journals ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (START WITH %s)',
        (SELECT coalesce(max(seq), 0) + 1 FROM ledger_journals));
END $$;
ALTER TABLE ledger_journals ENABLE TRIGGER ledger_journals_append_only;
-- What a payment does to money it does once, whatever the program says.
DROP INDEX ledger_journals_transaction_idx;
CREATE UNIQUE INDEX ledger_journals_transaction_idx ON ledger_journals (org_id, transaction_id, kind) WHERE transaction_id IS NOT NULL;
CREATE INDEX ledger_journals_receiver_idx ON ledger_journals (to_org_id, seq) WHERE to_org_id IS NOT NULL;

CREATE VIEW ledger_entries AS
    SELECT org_id, id AS journal_id, 1::smallint AS line, seq * 2 - 1 AS seq, from_account AS account, org_id AS account_org_id,
        from_wallet_id AS wallet_id, currency, -amount_minor AS amount_minor, from_balance_minor AS balance_after_minor, created_at
        FROM ledger_journals
    UNION ALL SELECT org_id, id, 2::smallint, seq * 2, to_account, org_id, to_wallet_id, currency, amount_minor, to_balance_minor,
        created_at FROM ledger_journals WHERE to_org_id IS NULL
    UNION ALL SELECT org_id, id, 2::smallint, seq * 2, to_account, to_org_id, to_wallet_id, currency, amount_minor, to_balance_minor,
        created_at FROM ledger_journals WHERE to_org_id IS NOT NULL;
COMMENT ON VIEW ledger_entries IS 'The journals as double entry: minus out of an account, plus into another; in the order of seq the balances of an account add up';
COMMENT ON TABLE ledger_journals IS 'Movements of money, each out of one account and into another, so that it sums to zero; never changed, never deleted';
COMMENT ON COLUMN ledger_journals.seq IS 'Order of writing; in this order the balances of an account add up';
COMMENT ON COLUMN ledger_journals.currency IS 'ISO 4217 code';
COMMENT ON COLUMN ledger_journals.amount_minor IS 'How much moved, in minor units';
COMMENT ON COLUMN ledger_journals.from_account IS 'Where it came from, in the same organisation: wallet for what can be spent of one, held for what escrow holds of one, external for the outside';
COMMENT ON COLUMN ledger_journals.from_wallet_id IS 'The wallet it came from';
COMMENT ON COLUMN ledger_journals.from_balance_minor IS 'The balance of that account afterwards';
COMMENT ON COLUMN ledger_journals.to_account IS 'Where it went: wallet, held or external';
COMMENT ON COLUMN ledger_journals.to_org_id IS 'The organisation it went to when it is another one';
COMMENT ON COLUMN ledger_journals.to_wallet_id IS 'The wallet it went to';
COMMENT ON COLUMN ledger_journals.to_balance_minor IS 'The balance of that account afterwards';
COMMENT ON FUNCTION ledger_refuse_change() IS 'Journals are never changed and never deleted';

-- What is written of a payment is written at once, in any order.
ALTER TABLE escrows ALTER CONSTRAINT escrows_org_id_transaction_id_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE compliance_predictions ALTER CONSTRAINT compliance_predictions_org_id_transaction_id_fkey DEFERRABLE INITIALLY DEFERRED;
