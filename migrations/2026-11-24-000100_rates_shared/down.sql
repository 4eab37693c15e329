CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT key, at, sum(n)::integer AS n FROM rate_hits GROUP BY key, at;
TRUNCATE rate_hits;
ALTER TABLE rate_hits
    DROP CONSTRAINT rate_hits_pkey,
    DROP COLUMN batch,
    DROP COLUMN process,
    ADD PRIMARY KEY (key, at);
INSERT INTO rate_hits (key, at, n) SELECT key, at, n FROM kept;
COMMENT ON COLUMN rate_hits.n IS 'How many in that microsecond.';
DROP TABLE rate_batches;
