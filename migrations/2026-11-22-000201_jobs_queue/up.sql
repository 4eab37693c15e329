CREATE TABLE jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    org_id       text,
    kind         text NOT NULL CHECK (kind <> ''),
    payload      jsonb NOT NULL,
    ordering_key text CHECK (ordering_key <> ''),
    priority     smallint NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    run_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    token        bigint NOT NULL DEFAULT 0 CHECK (token >= 0),
    worker       text,
    last_error   text,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    CHECK ((state = 'running') = (worker IS NOT NULL)),
    CHECK ((state IN ('done', 'dead')) = (finished_at IS NOT NULL))
);
CREATE INDEX jobs_due_idx ON jobs (kind, priority DESC, run_at, id) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_ordering_idx ON jobs (ordering_key, id) WHERE state IN ('waiting', 'running') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_running_key ON jobs (ordering_key) WHERE state = 'running' AND ordering_key IS NOT NULL;
CREATE INDEX jobs_finished_at_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE jobs IS 'Work to be done outside of requests; written in the transaction that makes it necessary';
COMMENT ON COLUMN jobs.id IS 'Order of writing';
COMMENT ON COLUMN jobs.org_id IS 'The organisation it works for; null for work of the installation';
COMMENT ON COLUMN jobs.kind IS 'Which handler does it';
COMMENT ON COLUMN jobs.payload IS 'What the handler needs to know';
COMMENT ON COLUMN jobs.ordering_key IS 'Jobs of one key run one at a time, in the order of their ids; null for no order';
COMMENT ON COLUMN jobs.priority IS 'Among jobs of a kind that are due, higher ones go first';
COMMENT ON COLUMN jobs.state IS 'waiting, running (under a lease), done, or dead: given up after its last attempt';
COMMENT ON COLUMN jobs.run_at IS 'Not before this instant; of a running job the end of its lease, from when on another worker may take it';
COMMENT ON COLUMN jobs.attempts IS 'How often it was taken';
COMMENT ON COLUMN jobs.token IS 'Counts the leases; who holds an older one may finish nothing';
COMMENT ON COLUMN jobs.worker IS 'Who holds the lease';
COMMENT ON COLUMN jobs.last_error IS 'Why the last attempt failed';
COMMENT ON COLUMN jobs.created_at IS 'When it was written';
COMMENT ON COLUMN jobs.finished_at IS 'When it was done, or given up';

CREATE TABLE job_schedules (
    name       text PRIMARY KEY CHECK (name <> ''),
    slot_at    timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE job_schedules IS 'Schedules that enqueue jobs, each slot once whatever the number of workers';
COMMENT ON COLUMN job_schedules.name IS 'The name of the schedule';
COMMENT ON COLUMN job_schedules.slot_at IS 'The latest slot whose job was enqueued; at first sight the slot before, whose job was not';
COMMENT ON COLUMN job_schedules.updated_at IS 'When it was last moved';
