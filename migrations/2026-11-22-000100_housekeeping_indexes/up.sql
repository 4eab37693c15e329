-- Housekeeping finds what has expired in the order of expiry, whoever's it is.
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);
CREATE INDEX invitations_pending_expires_at ON invitations (expires_at) WHERE status = 'pending';
