-- Refused by the constraints while the ledger has entries of escrow: they are never deleted.
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_account_check,
    DROP CONSTRAINT ledger_entries_check,
    DROP CONSTRAINT ledger_entries_check1,
    ADD CONSTRAINT ledger_entries_account_check CHECK (account IN ('wallet', 'external')),
    ADD CONSTRAINT ledger_entries_check CHECK ((account = 'wallet') = (wallet_id IS NOT NULL)),
    ADD CONSTRAINT ledger_entries_check1 CHECK ((account = 'wallet') = (balance_after_minor IS NOT NULL));
ALTER TABLE ledger_journals
    DROP CONSTRAINT ledger_journals_kind_check,
    DROP CONSTRAINT ledger_journals_check,
    ADD CONSTRAINT ledger_journals_kind_check CHECK (kind IN ('opening', 'fund', 'withdraw', 'payment')),
    ADD CONSTRAINT ledger_journals_check CHECK ((kind = 'payment') = (transaction_id IS NOT NULL));
DROP TABLE escrows;
DELETE FROM payment_events WHERE event_type = 'pending_human_review';
ALTER TABLE payment_events
    DROP CONSTRAINT payment_events_event_type_check,
    ADD CONSTRAINT payment_events_event_type_check CHECK (event_type IN ('authorized', 'denied', 'settled', 'failed', 'escrow_held',
                   'escrow_released', 'escrow_expired', 'disputed', 'refunded'));
DROP INDEX transactions_review_idx;
ALTER TABLE transactions DROP COLUMN escrow_terms;
