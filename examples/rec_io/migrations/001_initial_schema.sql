-- Services report here; trades are what they work on.

CREATE TABLE service_heartbeat (
    service text PRIMARY KEY,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    ticks bigint NOT NULL,
    detail text NOT NULL DEFAULT ''
);

CREATE TABLE trades (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id text UNIQUE,
    ticker text NOT NULL,
    side text NOT NULL CHECK (side IN ('yes', 'no')),
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    limit_cents integer NOT NULL CHECK (limit_cents BETWEEN 1 AND 99),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'filled', 'closed')),
    fill_cents integer CHECK (fill_cents BETWEEN 1 AND 99),
    close_cents integer CHECK (close_cents BETWEEN 1 AND 99),
    created_at timestamptz NOT NULL DEFAULT now(),
    filled_at timestamptz,
    closed_at timestamptz,
    CHECK ((status = 'pending') = (fill_cents IS NULL)),
    CHECK ((status = 'closed') = (close_cents IS NOT NULL))
);

CREATE INDEX trades_open_idx ON trades (status, id) WHERE status <> 'closed';
CREATE INDEX trades_closed_at_idx ON trades (closed_at) WHERE closed_at IS NOT NULL;
