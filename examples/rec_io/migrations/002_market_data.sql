-- Prices, the strike table made from them, and which data files were written.

CREATE TABLE symbol_prices (
    symbol text NOT NULL,
    step bigint NOT NULL,
    price numeric(12, 2) NOT NULL CHECK (price > 0),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, step)
);

CREATE INDEX symbol_prices_at_idx ON symbol_prices (at);

CREATE TABLE strike_table (
    symbol text NOT NULL,
    strike numeric(12, 2) NOT NULL,
    yes_cents integer NOT NULL CHECK (yes_cents BETWEEN 1 AND 99),
    no_cents integer NOT NULL CHECK (no_cents BETWEEN 1 AND 99),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (symbol, strike)
);

CREATE TABLE live_data_file (
    name text PRIMARY KEY,
    writes bigint NOT NULL,
    bytes integer NOT NULL,
    written_at timestamptz NOT NULL
);
