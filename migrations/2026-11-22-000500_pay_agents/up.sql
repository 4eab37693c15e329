CREATE TABLE pay_agents (
    org_id          text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id              text NOT NULL,
    name            text NOT NULL CHECK (name ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' AND length(name) <= 64),
    url             text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    description     text,
    timeout_seconds integer NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 300),
    max_attempts    integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT pay_agents_name_key UNIQUE (org_id, name)
);
COMMENT ON TABLE pay_agents IS 'Agents an organisation registered, which are called over HTTP; the built-in ones are in the program';
COMMENT ON COLUMN pay_agents.org_id IS 'The organisation';
COMMENT ON COLUMN pay_agents.id IS 'agt_…; another one when an agent is removed and registered again';
COMMENT ON COLUMN pay_agents.name IS 'What it is triggered by; never that of a built-in one';
COMMENT ON COLUMN pay_agents.url IS 'Where runs are sent to';
COMMENT ON COLUMN pay_agents.description IS 'Free text';
COMMENT ON COLUMN pay_agents.timeout_seconds IS 'How long one call may take';
COMMENT ON COLUMN pay_agents.max_attempts IS 'How often a run is tried before it fails';
COMMENT ON COLUMN pay_agents.created_at IS 'When it was registered';
COMMENT ON COLUMN pay_agents.updated_at IS 'When it was last changed';

CREATE TABLE pay_agent_secrets (
    org_id               text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id                   text NOT NULL CHECK (id <> ''),
    secret               bytea NOT NULL,
    previous_secret      bytea,
    previous_valid_until timestamptz,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CHECK ((previous_secret IS NULL) = (previous_valid_until IS NULL))
);
COMMENT ON TABLE pay_agent_secrets IS 'What signs calls of registered agents and callbacks of runs';
COMMENT ON COLUMN pay_agent_secrets.org_id IS 'The organisation';
COMMENT ON COLUMN pay_agent_secrets.id IS 'The agent whose calls it signs, or callbacks';
COMMENT ON COLUMN pay_agent_secrets.secret IS 'Sealed';
COMMENT ON COLUMN pay_agent_secrets.previous_secret IS 'Sealed; the secret before, which signs as well for a while';
COMMENT ON COLUMN pay_agent_secrets.previous_valid_until IS 'Until when the secret before signs as well';
COMMENT ON COLUMN pay_agent_secrets.updated_at IS 'When it was last replaced';

CREATE TABLE pay_agent_runs (
    org_id         text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    id             text NOT NULL,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    agent          text NOT NULL CHECK (agent <> ''),
    agent_id       text,
    priority       text NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'critical')),
    input          json NOT NULL CHECK (json_typeof(input) = 'object'),
    payment_agents text[],
    callback_url   text CHECK (length(callback_url) BETWEEN 1 AND 2048),
    status         text NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed')),
    output         json,
    error          text,
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz,
    PRIMARY KEY (org_id, id),
    CHECK (status <> 'queued' OR started_at IS NULL),
    CHECK (status NOT IN ('running', 'completed') OR started_at IS NOT NULL),
    CHECK ((status IN ('completed', 'failed')) = (completed_at IS NOT NULL)),
    CHECK ((status = 'failed') = (error IS NOT NULL)),
    CHECK ((status = 'completed') = (output IS NOT NULL))
);
CREATE INDEX pay_agent_runs_created_at_idx ON pay_agent_runs (org_id, created_at DESC, seq DESC);
CREATE INDEX pay_agent_runs_agent_idx ON pay_agent_runs (org_id, agent, created_at DESC, seq DESC);
-- The report on efficiency reads only this index, but for keys that are bound to some agents.
CREATE INDEX pay_agent_runs_efficiency_idx ON pay_agent_runs (org_id, agent, created_at)
    INCLUDE (status, started_at, completed_at);
CREATE INDEX pay_agent_runs_open_idx ON pay_agent_runs (org_id) WHERE status IN ('queued', 'running');
CREATE INDEX pay_agent_runs_open_since_idx ON pay_agent_runs (created_at) WHERE status IN ('queued', 'running');
CREATE INDEX pay_agent_runs_completed_at_idx ON pay_agent_runs (completed_at) WHERE completed_at IS NOT NULL;
COMMENT ON TABLE pay_agent_runs IS 'Runs of agents; a run ends once';
COMMENT ON COLUMN pay_agent_runs.org_id IS 'The organisation';
COMMENT ON COLUMN pay_agent_runs.id IS 'run_…';
COMMENT ON COLUMN pay_agent_runs.seq IS 'Order of writing';
COMMENT ON COLUMN pay_agent_runs.agent IS 'The name of the agent';
COMMENT ON COLUMN pay_agent_runs.agent_id IS 'The registered agent; null for a built-in one';
COMMENT ON COLUMN pay_agent_runs.priority IS 'Higher ones are taken first';
COMMENT ON COLUMN pay_agent_runs.input IS 'As given: json, not jsonb, so that every digit survives';
COMMENT ON COLUMN pay_agent_runs.payment_agents IS 'The agents whose payments the run may look at; null for all, none for an agent that looks at none';
COMMENT ON COLUMN pay_agent_runs.callback_url IS 'Who is told when it has ended';
COMMENT ON COLUMN pay_agent_runs.status IS 'queued, running (also between attempts), completed or failed';
COMMENT ON COLUMN pay_agent_runs.output IS 'What the agent answered; the JSON null when it answered nothing';
COMMENT ON COLUMN pay_agent_runs.error IS 'Why it failed, for its owner';
COMMENT ON COLUMN pay_agent_runs.created_at IS 'When it was queued';
COMMENT ON COLUMN pay_agent_runs.started_at IS 'When work on it first began';
COMMENT ON COLUMN pay_agent_runs.completed_at IS 'When it ended, well or not';
