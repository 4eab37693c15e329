-- Checks over several columns are read anew by every statement that writes to their table, and each word in them costs. What they
-- say is said by functions now, which a connection reads once.
CREATE FUNCTION is_sound_transaction(org_id text, counterparty_org_id text, counterparty_agent_id text, status text,
    settled_at timestamptz, counted_at timestamptz, spent_total_minor numeric)
    RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN counterparty_org_id IS DISTINCT FROM org_id
        AND (counterparty_org_id IS NULL OR counterparty_agent_id IS NOT NULL)
        AND CASE status WHEN 'settled' THEN settled_at IS NOT NULL WHEN 'denied' THEN settled_at IS NULL ELSE true END
        AND (counted_at IS NULL) = (spent_total_minor IS NULL)
        AND (counted_at IS NOT NULL OR status IN ('pending_human_review', 'denied', 'failed'));
END $$;
COMMENT ON FUNCTION is_sound_transaction(text, text, text, text, timestamptz, timestamptz, numeric) IS
    'Another organisation is paid at an agent; what is settled has its time and what was denied has none; what was approved is counted';
ALTER TABLE transactions
    DROP CONSTRAINT transactions_counterparty_check,
    DROP CONSTRAINT transactions_settled_check,
    DROP CONSTRAINT transactions_counted_check,
    ADD CONSTRAINT transactions_sound_check CHECK (is_sound_transaction(org_id, counterparty_org_id, counterparty_agent_id, status,
        settled_at, counted_at, spent_total_minor));

CREATE FUNCTION is_sound_journal(org_id text, kind text, transaction_id text, from_account text, from_wallet_id text,
    from_balance_minor bigint, to_account text, to_org_id text, to_wallet_id text, to_balance_minor bigint)
    RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN (transaction_id IS NULL) = (kind IN ('opening', 'fund', 'withdraw'))
        AND to_org_id IS DISTINCT FROM org_id
        AND (from_account = 'external') = (from_wallet_id IS NULL) AND (from_wallet_id IS NULL) = (from_balance_minor IS NULL)
        AND (to_account = 'external') = (to_wallet_id IS NULL) AND (to_wallet_id IS NULL) = (to_balance_minor IS NULL);
END $$;
COMMENT ON FUNCTION is_sound_journal(text, text, text, text, text, bigint, text, text, text, bigint) IS
    'Money of a payment names it; each side is outside, or a wallet with its balance';
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_kind_check,
    DROP CONSTRAINT ledger_journals_sides_check,
    ADD CONSTRAINT ledger_journals_sound_check CHECK (is_sound_journal(org_id, kind, transaction_id, from_account, from_wallet_id,
        from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor));

CREATE DOMAIN event_kind AS text CHECK (VALUE <> '');
COMMENT ON DOMAIN event_kind IS 'What happened, for example payment.settled';
ALTER TABLE events DROP CONSTRAINT events_kind_check, ALTER COLUMN kind TYPE event_kind;
