"""Write the closed trades of each hour to trade_history/<hour>.json, and note the file in archive_file."""

from __future__ import annotations

from datetime import datetime, timezone

from psycopg.rows import dict_row

from backend import jsonfile
from backend.service import Context, Service

# The oldest hour whose file does not hold all of its trades yet.
NEXT = """
SELECT h.hour FROM (
    SELECT date_trunc('hour', closed_at AT TIME ZONE 'UTC') AS hour, count(*) AS trades
    FROM trades WHERE closed_at > now() - interval '2 days' GROUP BY 1
) h LEFT JOIN archive_file f ON f.name = to_char(h.hour, 'YYYY-MM-DD"T"HH24') || '.json'
WHERE f.trades IS DISTINCT FROM h.trades ORDER BY h.hour LIMIT 1
"""
TRADES = """
SELECT id, ticker, side, quantity, fill_cents, close_cents, created_at, filled_at, closed_at,
    trade_pnl_cents(side, quantity, fill_cents, close_cents) AS pnl_cents
FROM trades
WHERE closed_at >= %(hour)s::timestamp AT TIME ZONE 'UTC'
    AND closed_at < (%(hour)s::timestamp + interval '1 hour') AT TIME ZONE 'UTC' ORDER BY id
"""
NOTE = """
INSERT INTO archive_file (name, trades, bytes, written_at) VALUES (%s, %s, %s, now())
ON CONFLICT (name) DO UPDATE
    SET trades = excluded.trades, bytes = excluded.bytes, written_at = excluded.written_at
"""


def tick(context: Context) -> str:
    with context.db.transaction() as connection:
        row = connection.execute(NEXT).fetchone()
        if row is None:
            return "nothing new"
        hour: datetime = row[0]
        with connection.cursor(row_factory=dict_row) as cursor:
            trades = cursor.execute(TRADES, {"hour": hour}).fetchall()
        name = f"{hour:%Y-%m-%dT%H}.json"
        content = {"at": datetime.now(timezone.utc).isoformat(), "trades": trades}
        size = jsonfile.write(context.settings.data_dir / "trade_history" / name, content)
        connection.execute(NOTE, (name, len(trades), size))
    return f"{name}: {len(trades)} trades"


SERVICE = Service("trade_history_archiver", tick)
