ALTER TABLE escrows ALTER CONSTRAINT escrows_org_id_transaction_id_fkey NOT DEFERRABLE;
ALTER TABLE compliance_predictions ALTER CONSTRAINT compliance_predictions_org_id_transaction_id_fkey NOT DEFERRABLE;

-- The ledger.
CREATE TABLE entries AS SELECT * FROM ledger_entries;
DROP VIEW ledger_entries;
DROP INDEX ledger_journals_transaction_idx, ledger_journals_receiver_idx;
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_transaction_fkey,
    DROP CONSTRAINT ledger_journals_pkey,
    DROP CONSTRAINT ledger_journals_kind_check,
    DROP CONSTRAINT ledger_journals_sides_check,
    DROP COLUMN seq,
    DROP COLUMN currency,
    DROP COLUMN amount_minor,
    DROP COLUMN from_account,
    DROP COLUMN from_wallet_id,
    DROP COLUMN from_balance_minor,
    DROP COLUMN to_account,
    DROP COLUMN to_org_id,
    DROP COLUMN to_wallet_id,
    DROP COLUMN to_balance_minor,
    ALTER COLUMN kind TYPE text,
    ADD PRIMARY KEY (org_id, id),
    ADD CONSTRAINT ledger_journals_chain_key UNIQUE (org_id, chain_seq),
    ADD CONSTRAINT ledger_journals_kind_check CHECK (kind IN ('opening', 'fund', 'withdraw', 'payment', 'escrow_hold',
                   'escrow_release', 'escrow_refund')),
    ADD CONSTRAINT ledger_journals_check CHECK ((kind IN ('payment', 'escrow_hold', 'escrow_release', 'escrow_refund'))
                   = (transaction_id IS NOT NULL)),
    ADD CONSTRAINT ledger_journals_org_id_transaction_id_fkey FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id);
CREATE INDEX ledger_journals_transaction_idx ON ledger_journals (org_id, transaction_id);
CREATE TABLE ledger_entries (
    org_id              text NOT NULL,
    journal_id          text NOT NULL,
    line                smallint NOT NULL CHECK (line >= 1),
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    account             text NOT NULL CHECK (account IN ('wallet', 'held', 'external')),
    account_org_id      text NOT NULL,
    wallet_id           text,
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor        bigint NOT NULL CHECK (amount_minor <> 0),
    balance_after_minor bigint CHECK (balance_after_minor >= 0),
    created_at          timestamptz NOT NULL,
    PRIMARY KEY (org_id, journal_id, line),
    FOREIGN KEY (org_id, journal_id) REFERENCES ledger_journals (org_id, id),
    CONSTRAINT ledger_entries_check CHECK ((account IN ('wallet', 'held')) = (wallet_id IS NOT NULL)),
    CONSTRAINT ledger_entries_check1 CHECK ((account IN ('wallet', 'held')) = (balance_after_minor IS NOT NULL))
);
INSERT INTO ledger_entries (org_id, journal_id, line, account, account_org_id, wallet_id, currency, amount_minor, balance_after_minor,
    created_at) SELECT org_id, journal_id, line, account, account_org_id, wallet_id, currency, amount_minor, balance_after_minor, created_at
    FROM entries ORDER BY seq;
DROP TABLE entries;
CREATE INDEX ledger_entries_wallet_idx ON ledger_entries (account_org_id, wallet_id, seq);
CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_balance();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- The history.
DROP INDEX events_subject_idx;
ALTER TABLE events ADD COLUMN id text UNIQUE;
UPDATE events SET id = 'evt_' || seq;
ALTER TABLE events ALTER COLUMN id SET NOT NULL;
CREATE TABLE payment_events (
    org_id         text NOT NULL,
    id             text NOT NULL,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id text NOT NULL,
    event_type     text NOT NULL CHECK (event_type IN ('authorized', 'denied', 'settled', 'failed', 'escrow_held',
                   'escrow_released', 'escrow_expired', 'disputed', 'refunded', 'pending_human_review')),
    event_data     jsonb NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (org_id, transaction_id, id),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id)
);
INSERT INTO payment_events (org_id, id, transaction_id, event_type, event_data, created_at)
    SELECT e.org_id, e.payload->>'event_id', e.subject, substr(e.kind, 9), e.payload->'event_data', e.created_at
    FROM events e JOIN transactions t ON t.org_id = e.org_id AND t.id = e.subject WHERE e.kind LIKE 'payment.%' ORDER BY e.seq;
CREATE INDEX payment_events_history_idx ON payment_events (org_id, transaction_id, seq);

-- The decision.
CREATE TABLE authorizations (
    org_id             text NOT NULL,
    id                 text NOT NULL,
    transaction_id     text NOT NULL,
    decision           text NOT NULL CHECK (decision IN ('approved', 'denied', 'pending_human_review')),
    reason_code        text NOT NULL CHECK (reason_code <> ''),
    reason_detail      text,
    compliance_status  text CHECK (compliance_status IN ('clear', 'flagged', 'blocked')),
    processing_time_ms bigint NOT NULL CHECK (processing_time_ms >= 0),
    created_at         timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT authorizations_transaction_key UNIQUE (org_id, transaction_id),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id)
);
INSERT INTO authorizations SELECT org_id, authorization_id, id, decision, reason_code, reason_detail, compliance_status, processing_time_ms,
    decided_at FROM transactions;
ALTER TABLE transactions
    DROP COLUMN authorization_id,
    DROP COLUMN decision,
    DROP COLUMN reason_code,
    DROP COLUMN reason_detail,
    DROP COLUMN compliance_status,
    DROP COLUMN processing_time_ms,
    DROP COLUMN decided_at;
ALTER TABLE transactions
    DROP CONSTRAINT transactions_counterparty_check,
    DROP CONSTRAINT transactions_settled_check,
    DROP CONSTRAINT transactions_counted_check,
    ALTER COLUMN requesting_agent_id TYPE text,
    ALTER COLUMN counterparty_agent_id TYPE text,
    ALTER COLUMN amount_minor TYPE bigint,
    ALTER COLUMN currency TYPE text,
    ALTER COLUMN tx_type TYPE text,
    ALTER COLUMN metadata TYPE json,
    ALTER COLUMN status TYPE text,
    ADD CONSTRAINT transactions_requesting_agent_id_check CHECK (requesting_agent_id <> ''),
    ADD CONSTRAINT transactions_counterparty_agent_id_check CHECK (counterparty_agent_id <> ''),
    ADD CONSTRAINT transactions_amount_minor_check CHECK (amount_minor > 0 AND amount_minor <= 1000000000000000),
    ADD CONSTRAINT transactions_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    ADD CONSTRAINT transactions_tx_type_check CHECK (tx_type <> ''),
    ADD CONSTRAINT transactions_metadata_check CHECK (json_typeof(metadata) = 'object'),
    ADD CONSTRAINT transactions_status_check CHECK (status IN ('pending_human_review', 'authorized', 'executing', 'settled',
                   'denied', 'failed', 'escrow_held', 'disputed', 'refunded')),
    ADD CONSTRAINT transactions_check CHECK (counterparty_org_id <> org_id),
    ADD CONSTRAINT transactions_check1 CHECK (counterparty_org_id IS NULL OR counterparty_agent_id IS NOT NULL),
    ADD CONSTRAINT transactions_check2 CHECK ((status = 'settled') <= (settled_at IS NOT NULL)),
    ADD CONSTRAINT transactions_check3 CHECK (status <> 'denied' OR settled_at IS NULL),
    ADD CONSTRAINT transactions_counted_check CHECK ((counted_at IS NULL) = (spent_total_minor IS NULL)),
    ADD CONSTRAINT transactions_committed_check CHECK (counted_at IS NOT NULL
        OR status NOT IN ('settled', 'authorized', 'executing', 'escrow_held', 'disputed', 'refunded'));
ALTER TABLE wallets
    ALTER COLUMN agent_id TYPE text,
    ALTER COLUMN currency TYPE text,
    ALTER COLUMN available_minor TYPE bigint,
    ALTER COLUMN held_minor TYPE bigint,
    ALTER COLUMN lifetime_sent_minor TYPE bigint,
    ALTER COLUMN lifetime_received_minor TYPE bigint,
    ADD CONSTRAINT wallets_agent_id_check CHECK (agent_id <> ''),
    ADD CONSTRAINT wallets_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    ADD CONSTRAINT wallets_available_minor_check CHECK (available_minor >= 0),
    ADD CONSTRAINT wallets_held_minor_check CHECK (held_minor >= 0),
    ADD CONSTRAINT wallets_lifetime_sent_minor_check CHECK (lifetime_sent_minor >= 0),
    ADD CONSTRAINT wallets_lifetime_received_minor_check CHECK (lifetime_received_minor >= 0);
DROP DOMAIN pay_label, pay_currency, pay_amount, pay_balance, pay_metadata, pay_status, pay_decision, pay_compliance, pay_milliseconds,
    ledger_kind, ledger_account, ledger_amount;
