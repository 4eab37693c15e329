COMMENT ON COLUMN idempotency_keys.response IS 'The encoded reply; null when the request came to nothing, and then the key is free';
