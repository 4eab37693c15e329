-- Every process reads what the others counted.

CREATE TABLE rate_batches (
    last bigint NOT NULL
);
COMMENT ON TABLE rate_batches IS 'One row, locked by whoever stores requests that counted: batches are committed in the order of their numbers, so a reader that has all up to one misses none below it.';
COMMENT ON COLUMN rate_batches.last IS 'Number of the last batch.';
INSERT INTO rate_batches (last) VALUES (0);

ALTER TABLE rate_hits
    ADD COLUMN batch bigint NOT NULL DEFAULT 0,
    ADD COLUMN process uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    DROP CONSTRAINT rate_hits_pkey,
    ADD PRIMARY KEY (key, at, batch);
ALTER TABLE rate_hits
    ALTER COLUMN batch DROP DEFAULT,
    ALTER COLUMN process DROP DEFAULT;
CREATE INDEX rate_hits_batch ON rate_hits (batch);
COMMENT ON COLUMN rate_hits.batch IS 'What was stored together.';
COMMENT ON COLUMN rate_hits.process IS 'Who let the requests through.';
COMMENT ON COLUMN rate_hits.n IS 'How many of this batch up to that instant, and not up to the one before.';
