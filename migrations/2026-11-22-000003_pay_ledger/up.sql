-- Money is integer minor units everywhere. Two decimals for every currency.

CREATE TABLE wallets (
    org_id                  text NOT NULL REFERENCES organizations (id),
    id                      text NOT NULL,
    agent_id                text NOT NULL CHECK (agent_id <> ''),
    currency                text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    available_minor         bigint NOT NULL DEFAULT 0 CHECK (available_minor >= 0),
    held_minor              bigint NOT NULL DEFAULT 0 CHECK (held_minor >= 0),
    lifetime_sent_minor     bigint NOT NULL DEFAULT 0 CHECK (lifetime_sent_minor >= 0),
    lifetime_received_minor bigint NOT NULL DEFAULT 0 CHECK (lifetime_received_minor >= 0),
    is_active               boolean NOT NULL DEFAULT true,
    last_transaction_at     timestamptz,
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT wallets_agent_currency_key UNIQUE (org_id, agent_id, currency)
);
CREATE INDEX wallets_org_created_at_idx ON wallets (org_id, created_at, id);

COMMENT ON TABLE wallets IS 'The money of agents: one wallet per organisation, agent and currency';
COMMENT ON COLUMN wallets.org_id IS 'The organisation';
COMMENT ON COLUMN wallets.id IS 'wal_…; rows are locked in the order of their ids';
COMMENT ON COLUMN wallets.agent_id IS 'The agent whose money it is';
COMMENT ON COLUMN wallets.currency IS 'ISO 4217 code';
COMMENT ON COLUMN wallets.available_minor IS 'What can be spent, in minor units; always the sum of the wallet''s ledger entries less what is held';
COMMENT ON COLUMN wallets.held_minor IS 'What escrow holds, in minor units';
COMMENT ON COLUMN wallets.lifetime_sent_minor IS 'Everything ever settled out of it; funding and withdrawing leave it alone';
COMMENT ON COLUMN wallets.lifetime_received_minor IS 'Everything ever settled into it; funding and withdrawing leave it alone';
COMMENT ON COLUMN wallets.is_active IS 'Whether it takes part in payments';
COMMENT ON COLUMN wallets.last_transaction_at IS 'The last settlement, funding or withdrawal';
COMMENT ON COLUMN wallets.created_at IS 'When it was created';
COMMENT ON COLUMN wallets.updated_at IS 'When it last changed';

CREATE TABLE policies (
    org_id                    text NOT NULL REFERENCES organizations (id),
    id                        text NOT NULL,
    seq                       bigint GENERATED ALWAYS AS IDENTITY,
    policy_name               text NOT NULL CHECK (policy_name <> ''),
    agent_id                  text CHECK (agent_id <> ''),
    max_per_transaction_minor bigint CHECK (max_per_transaction_minor > 0),
    max_daily_minor           bigint CHECK (max_daily_minor > 0),
    max_monthly_minor         bigint CHECK (max_monthly_minor > 0),
    currency                  text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    require_human_above_minor bigint CHECK (require_human_above_minor > 0),
    approved_counterparties   text[] NOT NULL,
    blocked_counterparties    text[] NOT NULL,
    allowed_categories        text[] NOT NULL,
    compliance_precheck       boolean NOT NULL,
    compliance_jurisdictions  text[] NOT NULL,
    is_active                 boolean NOT NULL,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK (max_per_transaction_minor <= max_daily_minor),
    CHECK (max_daily_minor <= max_monthly_minor),
    CHECK (max_per_transaction_minor <= max_monthly_minor)
);
-- No agent counts as one agent: an organisation has one active default.
CREATE UNIQUE INDEX policies_active_agent_key ON policies (org_id, coalesce(agent_id, '')) WHERE is_active;
CREATE INDEX policies_org_created_at_idx ON policies (org_id, created_at DESC, seq DESC);

COMMENT ON TABLE policies IS 'Spending policies: what agents may pay';
COMMENT ON COLUMN policies.org_id IS 'The organisation';
COMMENT ON COLUMN policies.id IS 'pol_…';
COMMENT ON COLUMN policies.seq IS 'Order of creation';
COMMENT ON COLUMN policies.policy_name IS 'Human-readable name';
COMMENT ON COLUMN policies.agent_id IS 'The agent it binds; null for the organisation''s default';
COMMENT ON COLUMN policies.max_per_transaction_minor IS 'Most per payment, null for no limit';
COMMENT ON COLUMN policies.max_daily_minor IS 'Most in any 24 hours, null for no limit';
COMMENT ON COLUMN policies.max_monthly_minor IS 'Most in any 30 days, null for no limit';
COMMENT ON COLUMN policies.currency IS 'The only currency it lets through';
COMMENT ON COLUMN policies.require_human_above_minor IS 'Payments strictly above need a human, null for never';
COMMENT ON COLUMN policies.approved_counterparties IS 'If not empty, only these agents may be paid';
COMMENT ON COLUMN policies.blocked_counterparties IS 'These agents may not be paid; wins over approved';
COMMENT ON COLUMN policies.allowed_categories IS 'If not empty, only these categories';
COMMENT ON COLUMN policies.compliance_precheck IS 'Whether payments are checked for compliance';
COMMENT ON COLUMN policies.compliance_jurisdictions IS 'The jurisdictions checked';
COMMENT ON COLUMN policies.is_active IS 'Whether it decides payments; a deleted policy stays readable';
COMMENT ON COLUMN policies.created_at IS 'When it was created';
COMMENT ON COLUMN policies.updated_at IS 'When it last changed';

CREATE TABLE transactions (
    org_id                text NOT NULL,
    id                    text NOT NULL,
    seq                   bigint GENERATED ALWAYS AS IDENTITY,
    requesting_agent_id   text NOT NULL CHECK (requesting_agent_id <> ''),
    counterparty_agent_id text CHECK (counterparty_agent_id <> ''),
    counterparty_org_id   text CHECK (counterparty_org_id <> org_id),
    amount_minor          bigint NOT NULL CHECK (amount_minor > 0 AND amount_minor <= 1000000000000000),
    currency              text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    tx_type               text NOT NULL CHECK (tx_type <> ''),
    category              text,
    description           text,
    reference_id          text,
    metadata              json NOT NULL CHECK (json_typeof(metadata) = 'object'),
    status                text NOT NULL CHECK (status IN ('pending_human_review', 'authorized', 'executing', 'settled',
                          'denied', 'failed', 'escrow_held', 'disputed', 'refunded')),
    policy_snapshot       jsonb,
    settled_at            timestamptz,
    created_at            timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK (counterparty_org_id IS NULL OR counterparty_agent_id IS NOT NULL),
    CHECK ((status = 'settled') <= (settled_at IS NOT NULL)),
    CHECK (status <> 'denied' OR settled_at IS NULL)
);
CREATE INDEX transactions_org_created_at_idx ON transactions (org_id, created_at DESC, seq DESC);
CREATE INDEX transactions_receiver_created_at_idx ON transactions (counterparty_org_id, created_at DESC, seq DESC)
    WHERE counterparty_org_id IS NOT NULL;
CREATE INDEX transactions_receiver_id_idx ON transactions (counterparty_org_id, id) WHERE counterparty_org_id IS NOT NULL;
-- The sums of the rolling windows read only this index.
CREATE INDEX transactions_window_idx ON transactions (org_id, requesting_agent_id, currency, created_at)
    INCLUDE (amount_minor) WHERE status IN ('settled', 'authorized', 'executing', 'escrow_held');

COMMENT ON TABLE transactions IS 'Payments as they were requested and what became of them';
COMMENT ON COLUMN transactions.org_id IS 'The paying organisation';
COMMENT ON COLUMN transactions.id IS 'txn_…';
COMMENT ON COLUMN transactions.seq IS 'Order of writing';
COMMENT ON COLUMN transactions.requesting_agent_id IS 'The paying agent';
COMMENT ON COLUMN transactions.counterparty_agent_id IS 'The receiving agent; null for a payment to the outside';
COMMENT ON COLUMN transactions.counterparty_org_id IS 'The receiving organisation when it is another one; it sees the transaction too';
COMMENT ON COLUMN transactions.amount_minor IS 'The amount in minor units';
COMMENT ON COLUMN transactions.currency IS 'ISO 4217 code';
COMMENT ON COLUMN transactions.tx_type IS 'As requested';
COMMENT ON COLUMN transactions.category IS 'As requested';
COMMENT ON COLUMN transactions.description IS 'As requested';
COMMENT ON COLUMN transactions.reference_id IS 'As requested';
COMMENT ON COLUMN transactions.metadata IS 'As requested: json, not jsonb, which changes key order and refuses some valid text';
COMMENT ON COLUMN transactions.status IS 'What became of it';
COMMENT ON COLUMN transactions.policy_snapshot IS 'The policy that decided, as it was then; null when there was none';
COMMENT ON COLUMN transactions.settled_at IS 'When the money moved';
COMMENT ON COLUMN transactions.created_at IS 'When it was requested; the rolling windows count by it';

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

COMMENT ON TABLE authorizations IS 'The decision on each transaction';
COMMENT ON COLUMN authorizations.org_id IS 'The paying organisation';
COMMENT ON COLUMN authorizations.id IS 'auth_…';
COMMENT ON COLUMN authorizations.transaction_id IS 'The transaction decided';
COMMENT ON COLUMN authorizations.decision IS 'approved, denied or pending_human_review';
COMMENT ON COLUMN authorizations.reason_code IS 'Machine-readable reason';
COMMENT ON COLUMN authorizations.reason_detail IS 'Why it was not approved';
COMMENT ON COLUMN authorizations.compliance_status IS 'Verdict of the compliance check, when it was reached';
COMMENT ON COLUMN authorizations.processing_time_ms IS 'Measured time from the request to the decision';
COMMENT ON COLUMN authorizations.created_at IS 'When it was decided';

CREATE TABLE payment_events (
    org_id         text NOT NULL,
    id             text NOT NULL,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id text NOT NULL,
    event_type     text NOT NULL CHECK (event_type IN ('authorized', 'denied', 'settled', 'failed', 'escrow_held',
                   'escrow_released', 'escrow_expired', 'disputed', 'refunded')),
    event_data     jsonb NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (org_id, transaction_id, id),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id)
);
CREATE INDEX payment_events_history_idx ON payment_events (org_id, transaction_id, seq);

COMMENT ON TABLE payment_events IS 'The history of each transaction';
COMMENT ON COLUMN payment_events.org_id IS 'The paying organisation';
COMMENT ON COLUMN payment_events.id IS 'evt_…';
COMMENT ON COLUMN payment_events.seq IS 'Order of writing';
COMMENT ON COLUMN payment_events.transaction_id IS 'The transaction';
COMMENT ON COLUMN payment_events.event_type IS 'What happened';
COMMENT ON COLUMN payment_events.event_data IS 'What is known of it';
COMMENT ON COLUMN payment_events.created_at IS 'When it happened';

CREATE TABLE ledger_journals (
    org_id         text NOT NULL,
    id             text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('opening', 'fund', 'withdraw', 'payment')),
    transaction_id text,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK ((kind = 'payment') = (transaction_id IS NOT NULL)),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id)
);
CREATE INDEX ledger_journals_transaction_idx ON ledger_journals (org_id, transaction_id);

COMMENT ON TABLE ledger_journals IS 'Movements of money; each one sums to zero per currency';
COMMENT ON COLUMN ledger_journals.org_id IS 'The organisation that moved the money';
COMMENT ON COLUMN ledger_journals.id IS 'jrn_…, sortable by time';
COMMENT ON COLUMN ledger_journals.kind IS 'opening, fund, withdraw or payment';
COMMENT ON COLUMN ledger_journals.transaction_id IS 'The payment, for journals of that kind';
COMMENT ON COLUMN ledger_journals.created_at IS 'When it happened';

CREATE TABLE ledger_entries (
    org_id              text NOT NULL,
    journal_id          text NOT NULL,
    line                smallint NOT NULL CHECK (line >= 1),
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    account             text NOT NULL CHECK (account IN ('wallet', 'external')),
    account_org_id      text NOT NULL,
    wallet_id           text,
    currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor        bigint NOT NULL CHECK (amount_minor <> 0),
    balance_after_minor bigint CHECK (balance_after_minor >= 0),
    created_at          timestamptz NOT NULL,
    PRIMARY KEY (org_id, journal_id, line),
    FOREIGN KEY (org_id, journal_id) REFERENCES ledger_journals (org_id, id),
    CHECK ((account = 'wallet') = (wallet_id IS NOT NULL)),
    CHECK ((account = 'wallet') = (balance_after_minor IS NOT NULL))
);
CREATE INDEX ledger_entries_wallet_idx ON ledger_entries (account_org_id, wallet_id, seq);

COMMENT ON TABLE ledger_entries IS 'The lines of the journals: plus into an account, minus out of it; never changed, never deleted';
COMMENT ON COLUMN ledger_entries.org_id IS 'The organisation of the journal';
COMMENT ON COLUMN ledger_entries.journal_id IS 'The journal';
COMMENT ON COLUMN ledger_entries.line IS 'Place in the journal, from 1';
COMMENT ON COLUMN ledger_entries.seq IS 'Order of writing; in this order balance_after_minor of a wallet adds up';
COMMENT ON COLUMN ledger_entries.account IS 'wallet, or external for money that enters or leaves';
COMMENT ON COLUMN ledger_entries.account_org_id IS 'The organisation of the account; differs from org_id for payments across organisations';
COMMENT ON COLUMN ledger_entries.wallet_id IS 'The wallet, for that kind of account';
COMMENT ON COLUMN ledger_entries.currency IS 'ISO 4217 code';
COMMENT ON COLUMN ledger_entries.amount_minor IS 'Signed amount in minor units';
COMMENT ON COLUMN ledger_entries.balance_after_minor IS 'The wallet''s available balance after this entry';
COMMENT ON COLUMN ledger_entries.created_at IS 'When it happened';

CREATE FUNCTION ledger_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
COMMENT ON FUNCTION ledger_refuse_change() IS 'Journals and entries are never changed and never deleted';

CREATE TRIGGER ledger_journals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_journals
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
