"""Put what is going on now into one file, live_data/live_state.json; count its writes in live_data_file."""

from __future__ import annotations

from datetime import datetime, timezone

from psycopg.rows import dict_row

from backend import jsonfile
from backend.service import Context, Service
from backend.services._tables import latest_prices

NAME = "live_state.json"
OPEN = """
SELECT id, ticker, side, quantity, status, limit_cents, fill_cents FROM trades
WHERE status <> 'closed' ORDER BY id
"""
NOTE = """
INSERT INTO live_data_file (name, writes, bytes, written_at) VALUES (%s, 1, %s, now())
ON CONFLICT (name) DO UPDATE
    SET writes = live_data_file.writes + 1, bytes = excluded.bytes, written_at = now()
"""


def tick(context: Context) -> str:
    with context.db.transaction() as connection:
        prices = latest_prices(connection)
        with connection.cursor(row_factory=dict_row) as cursor:
            trades = cursor.execute(OPEN).fetchall()
        content = {"at": datetime.now(timezone.utc).isoformat(), "prices": prices, "open_trades": trades}
        size = jsonfile.write(context.settings.data_dir / "live_data" / NAME, content)
        connection.execute(NOTE, (NAME, size))
    return f"{NAME}: {size} bytes, {len(trades)} open trades"


SERVICE = Service("live_data_writer", tick)
