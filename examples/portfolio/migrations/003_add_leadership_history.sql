-- Which instance kept the portfolio, from when to when, and how that ended.
CREATE TABLE leadership_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance text NOT NULL,
    pid integer NOT NULL,
    acquired_at timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    reason text,
    CHECK ((released_at IS NULL) = (reason IS NULL))
);
