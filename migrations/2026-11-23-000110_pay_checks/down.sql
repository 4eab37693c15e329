ALTER TABLE events ALTER COLUMN kind TYPE text, ADD CONSTRAINT events_kind_check CHECK (kind <> '');
DROP DOMAIN event_kind;
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_sound_check,
    ADD CONSTRAINT ledger_journals_kind_check CHECK ((transaction_id IS NULL) = (kind IN ('opening', 'fund', 'withdraw'))),
    ADD CONSTRAINT ledger_journals_sides_check CHECK (to_org_id <> org_id
        AND (from_account = 'external') = (from_wallet_id IS NULL) AND (from_wallet_id IS NULL) = (from_balance_minor IS NULL)
        AND (to_account = 'external') = (to_wallet_id IS NULL) AND (to_wallet_id IS NULL) = (to_balance_minor IS NULL));
DROP FUNCTION is_sound_journal(text, text, text, text, text, bigint, text, text, text, bigint);
ALTER TABLE transactions
    DROP CONSTRAINT transactions_sound_check,
    ADD CONSTRAINT transactions_counterparty_check CHECK (counterparty_org_id <> org_id
        AND (counterparty_org_id IS NULL OR counterparty_agent_id IS NOT NULL)),
    ADD CONSTRAINT transactions_settled_check CHECK (CASE status WHEN 'settled' THEN settled_at IS NOT NULL
        WHEN 'denied' THEN settled_at IS NULL ELSE true END),
    ADD CONSTRAINT transactions_counted_check CHECK ((counted_at IS NULL) = (spent_total_minor IS NULL)
        AND (counted_at IS NOT NULL OR status IN ('pending_human_review', 'denied', 'failed')));
DROP FUNCTION is_sound_transaction(text, text, text, text, timestamptz, timestamptz, numeric);
