-- One table for each worker that watches, counts or keeps something.

CREATE TABLE coordinator_cycle (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    open_trades integer NOT NULL,
    decision text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account_snapshot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_mode text NOT NULL CHECK (account_mode IN ('demo', 'prod')),
    balance_cents bigint NOT NULL,
    open_trades integer NOT NULL,
    closed_trades bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_probe (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    latency_ms numeric(8, 1) NOT NULL,
    slow boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE failure_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

CREATE UNIQUE INDEX failure_event_open_idx ON failure_event (service) WHERE ended_at IS NULL;

CREATE TABLE archive_file (
    name text PRIMARY KEY,
    trades integer NOT NULL,
    bytes integer NOT NULL,
    written_at timestamptz NOT NULL
);

CREATE INDEX coordinator_cycle_at_idx ON coordinator_cycle (at);
CREATE INDEX account_snapshot_at_idx ON account_snapshot (at);
CREATE INDEX api_probe_at_idx ON api_probe (at);
