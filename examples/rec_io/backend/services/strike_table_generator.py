"""Make the table of contracts around each price: rows in strike_table, live_data/strike_table.json."""

from __future__ import annotations

from datetime import datetime, timezone

from backend import jsonfile, market
from backend.service import Context, Service
from backend.services._tables import latest_prices

INSERT = "INSERT INTO strike_table (symbol, strike, yes_cents, no_cents) VALUES (%s, %s, %s, %s)"


def tick(context: Context) -> str:
    rows: list[tuple[str, float, int, int]] = []
    with context.db.transaction() as connection:
        for symbol, price in latest_prices(connection).items():
            for strike in market.strikes(symbol, price):
                yes = market.yes_cents(price, strike)
                rows.append((symbol, strike, yes, 100 - yes))
        connection.execute("DELETE FROM strike_table")
        with connection.cursor() as cursor:
            cursor.executemany(INSERT, rows)
    strikes = [{"ticker": market.ticker(s, k), "yes_cents": y, "no_cents": n} for s, k, y, n in rows]
    content = {"at": datetime.now(timezone.utc).isoformat(), "strikes": strikes}
    jsonfile.write(context.settings.data_dir / "live_data" / "strike_table.json", content)
    return f"{len(rows)} strikes"


SERVICE = Service("strike_table_generator", tick)
