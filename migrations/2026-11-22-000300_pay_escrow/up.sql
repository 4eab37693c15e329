-- Human review and escrow. Money that escrow holds stays in the payer's wallet, on its held account.

ALTER TABLE transactions
    ADD COLUMN escrow_terms jsonb;
COMMENT ON COLUMN transactions.escrow_terms IS 'The escrow that was asked for, checked; null for settlement at once';
CREATE INDEX transactions_review_idx ON transactions (created_at, org_id, id) WHERE status = 'pending_human_review';

ALTER TABLE payment_events
    DROP CONSTRAINT payment_events_event_type_check,
    ADD CONSTRAINT payment_events_event_type_check CHECK (event_type IN ('authorized', 'denied', 'settled', 'failed', 'escrow_held',
                   'escrow_released', 'escrow_expired', 'disputed', 'refunded', 'pending_human_review'));

CREATE TABLE escrows (
    org_id             text NOT NULL,
    id                 text NOT NULL,
    transaction_id     text NOT NULL,
    amount_minor       bigint NOT NULL CHECK (amount_minor > 0),
    currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status             text NOT NULL CHECK (status IN ('held', 'disputed', 'released', 'refunded')),
    release_conditions jsonb NOT NULL CHECK (jsonb_typeof(release_conditions) = 'array'),
    held_at            timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    disputed_at        timestamptz,
    dispute_reason     text,
    released_at        timestamptz,
    refunded_at        timestamptz,
    PRIMARY KEY (org_id, id),
    CONSTRAINT escrows_transaction_key UNIQUE (org_id, transaction_id),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id),
    CHECK (expires_at > held_at),
    CHECK (status <> 'disputed' OR disputed_at IS NOT NULL),
    CHECK (status <> 'held' OR disputed_at IS NULL),
    CHECK ((status = 'released') = (released_at IS NOT NULL)),
    CHECK ((status = 'refunded') = (refunded_at IS NOT NULL)),
    CHECK (dispute_reason IS NULL OR disputed_at IS NOT NULL)
);
CREATE INDEX escrows_expiry_idx ON escrows (expires_at, org_id, id) WHERE status = 'held';
CREATE INDEX escrows_dispute_idx ON escrows (disputed_at, org_id, id) WHERE status = 'disputed';

COMMENT ON TABLE escrows IS 'Money of payments that is held until it is released to the payee or goes back to the payer';
COMMENT ON COLUMN escrows.org_id IS 'The paying organisation';
COMMENT ON COLUMN escrows.id IS 'esc_…';
COMMENT ON COLUMN escrows.transaction_id IS 'The payment';
COMMENT ON COLUMN escrows.amount_minor IS 'What is held, in minor units: the amount of the payment';
COMMENT ON COLUMN escrows.currency IS 'ISO 4217 code';
COMMENT ON COLUMN escrows.status IS 'held and disputed hold money; released and refunded are final';
COMMENT ON COLUMN escrows.release_conditions IS 'Array of {type, target, status}';
COMMENT ON COLUMN escrows.held_at IS 'When the money was put aside';
COMMENT ON COLUMN escrows.expires_at IS 'From then on it goes back, unless it was disputed before';
COMMENT ON COLUMN escrows.disputed_at IS 'When it was disputed; seven days later it goes back';
COMMENT ON COLUMN escrows.dispute_reason IS 'What the dispute says';
COMMENT ON COLUMN escrows.released_at IS 'When the money went to the payee';
COMMENT ON COLUMN escrows.refunded_at IS 'When the money went back to the payer';

ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_kind_check,
    DROP CONSTRAINT ledger_journals_check,
    ADD CONSTRAINT ledger_journals_kind_check CHECK (kind IN ('opening', 'fund', 'withdraw', 'payment', 'escrow_hold',
                   'escrow_release', 'escrow_refund')),
    ADD CONSTRAINT ledger_journals_check CHECK ((kind IN ('payment', 'escrow_hold', 'escrow_release', 'escrow_refund'))
                   = (transaction_id IS NOT NULL));
COMMENT ON COLUMN ledger_journals.kind IS 'opening, fund, withdraw, payment, escrow_hold, escrow_release or escrow_refund';
COMMENT ON COLUMN ledger_journals.transaction_id IS 'The payment, for payments and escrow';

ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_account_check,
    DROP CONSTRAINT ledger_entries_check,
    DROP CONSTRAINT ledger_entries_check1,
    ADD CONSTRAINT ledger_entries_account_check CHECK (account IN ('wallet', 'held', 'external')),
    ADD CONSTRAINT ledger_entries_check CHECK ((account IN ('wallet', 'held')) = (wallet_id IS NOT NULL)),
    ADD CONSTRAINT ledger_entries_check1 CHECK ((account IN ('wallet', 'held')) = (balance_after_minor IS NOT NULL));
COMMENT ON COLUMN ledger_entries.account IS 'wallet for what can be spent of it, held for what escrow holds of it, external for money that enters or leaves';
COMMENT ON COLUMN ledger_entries.wallet_id IS 'The wallet, for those kinds of account';
COMMENT ON COLUMN ledger_entries.balance_after_minor IS 'The balance of this account of the wallet after this entry';
COMMENT ON COLUMN ledger_entries.seq IS 'Order of writing; in this order balance_after_minor of an account of a wallet adds up';
COMMENT ON COLUMN wallets.available_minor IS 'What can be spent, in minor units; always the sum of the entries of its wallet account';
COMMENT ON COLUMN wallets.held_minor IS 'What escrow holds, in minor units; always the sum of the entries of its held account';
