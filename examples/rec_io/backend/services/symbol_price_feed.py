"""Make a price per symbol every ten seconds: rows in symbol_prices, live_data/symbol_prices.json."""

from __future__ import annotations

from datetime import datetime, timezone

from backend import jsonfile, market
from backend.service import Context, Service
from backend.services._tables import prune

LAST = "SELECT step, price FROM symbol_prices WHERE symbol = %s ORDER BY step DESC LIMIT 1"
INSERT = "INSERT INTO symbol_prices (symbol, step, price) VALUES (%s, %s, %s)"


def tick(context: Context) -> str:
    prices: dict[str, float] = {}
    with context.db.transaction() as connection:
        for symbol in market.SYMBOLS:
            row = connection.execute(LAST, (symbol,)).fetchone()
            step = row[0] + 1 if row else 1
            prices[symbol] = market.next_price(symbol, step, float(row[1]) if row else None)
            connection.execute(INSERT, (symbol, step, prices[symbol]))
        prune(context, connection, "symbol_prices")
    content = {"at": datetime.now(timezone.utc).isoformat(), "prices": prices}
    jsonfile.write(context.settings.data_dir / "live_data" / "symbol_prices.json", content)
    return ", ".join(f"{symbol} {price:.2f}" for symbol, price in prices.items())


SERVICE = Service("symbol_price_feed", tick)
