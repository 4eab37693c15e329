COMMENT ON COLUMN idempotency_keys.response IS 'The encoded reply; null only inside the transaction that claims the key';
