CREATE TABLE data_keys (
    org_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    wrapped bytea NOT NULL CHECK (octet_length(wrapped) > 28),
    created_at timestamptz NOT NULL DEFAULT now(),
    rewrapped_at timestamptz,
    PRIMARY KEY (org_id, version)
);
COMMENT ON TABLE data_keys IS 'Data keys that encrypt the secrets of an organisation; new secrets use the highest version, older versions still open theirs.';
COMMENT ON COLUMN data_keys.org_id IS 'The organisation.';
COMMENT ON COLUMN data_keys.version IS 'Counts up with every rotation; named in every sealed secret.';
COMMENT ON COLUMN data_keys.wrapped IS 'The AES-256 key, encrypted with the master key (AES-256-GCM: format, nonce, ciphertext, tag).';
COMMENT ON COLUMN data_keys.created_at IS 'When the key was made.';
COMMENT ON COLUMN data_keys.rewrapped_at IS 'When it was last wrapped with another master key.';

CREATE TABLE rate_hits (
    key text NOT NULL,
    at timestamptz NOT NULL,
    n integer NOT NULL CHECK (n > 0),
    PRIMARY KEY (key, at)
);
CREATE INDEX rate_hits_at ON rate_hits (at);
COMMENT ON TABLE rate_hits IS 'Requests of the last minutes that counted against a sliding limit, so that limits survive a restart; written in batches.';
COMMENT ON COLUMN rate_hits.key IS 'What is limited: a kind and an id, for example an API key.';
COMMENT ON COLUMN rate_hits.at IS 'When the requests were allowed.';
COMMENT ON COLUMN rate_hits.n IS 'How many in that microsecond.';

CREATE TABLE rate_days (
    key text NOT NULL,
    day date NOT NULL,
    count integer NOT NULL CHECK (count > 0),
    PRIMARY KEY (key, day)
);
CREATE INDEX rate_days_day ON rate_days (day);
COMMENT ON TABLE rate_days IS 'Requests per calendar day that counted against a daily limit; written in batches.';
COMMENT ON COLUMN rate_days.key IS 'What is limited, as in rate_hits.';
COMMENT ON COLUMN rate_days.day IS 'The day in UTC.';
COMMENT ON COLUMN rate_days.count IS 'How many requests were allowed.';
