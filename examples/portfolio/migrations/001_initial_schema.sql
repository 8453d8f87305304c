-- Money, positions, and who is alive.
CREATE TABLE portfolio_state (
    id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    cash numeric(18, 2) NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO portfolio_state (cash) VALUES (100000);

CREATE TABLE portfolio_positions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol text NOT NULL CHECK (symbol <> ''),
    quantity numeric(18, 6) NOT NULL CHECK (quantity > 0),
    entry_price numeric(18, 6) NOT NULL CHECK (entry_price > 0),
    opened_at timestamptz NOT NULL DEFAULT now(),
    exit_price numeric(18, 6) CHECK (exit_price > 0),
    closed_at timestamptz,
    CHECK ((closed_at IS NULL) = (exit_price IS NULL))
);
-- One open position a symbol, whoever asks for it and however often.
CREATE UNIQUE INDEX portfolio_positions_open ON portfolio_positions (symbol) WHERE closed_at IS NULL;

CREATE TABLE instance_heartbeat (
    instance text PRIMARY KEY,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
);
