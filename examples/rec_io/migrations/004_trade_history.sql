-- Each step of a trade, kept by the database itself, so that no service can forget to.

CREATE TABLE trade_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trade_id bigint NOT NULL REFERENCES trades (id) ON DELETE CASCADE,
    status text NOT NULL,
    cents integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX trade_event_trade_idx ON trade_event (trade_id);

CREATE FUNCTION record_trade_event() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trade_event (trade_id, status, cents)
    VALUES (NEW.id, NEW.status, coalesce(NEW.close_cents, NEW.fill_cents, NEW.limit_cents));
    RETURN NEW;
END
$$;

CREATE TRIGGER trades_insert_event AFTER INSERT ON trades
FOR EACH ROW EXECUTE FUNCTION record_trade_event();

CREATE TRIGGER trades_status_event AFTER UPDATE OF status ON trades
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION record_trade_event();

CREATE FUNCTION trade_pnl_cents(side text, quantity integer, fill_cents integer, close_cents integer) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT quantity::bigint * (close_cents - fill_cents) * CASE WHEN side = 'yes' THEN 1 ELSE -1 END
$$;
