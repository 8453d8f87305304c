"""Gather what the page shows, at most once a second however many look at it."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from backend import SERVICES, VERSION
from backend.db import Connection
from backend.service import Context

CACHE_SECONDS = 1.0
BEATS = """
SELECT service, pid, ticks, detail, extract(epoch FROM now() - last_seen)::float8 AS age,
    extract(epoch FROM now() - started_at)::float8 AS uptime FROM service_heartbeat
"""
TRADES = """
SELECT id, ticker, side, quantity, status, limit_cents, fill_cents, close_cents, created_at,
    trade_pnl_cents(side, quantity, fill_cents, close_cents) AS pnl_cents
FROM trades ORDER BY id DESC LIMIT 12
"""
PRICES = """
SELECT symbol, array_agg(price::float8 ORDER BY step) AS prices FROM (
    SELECT symbol, step, price FROM symbol_prices p
    WHERE step > (SELECT max(step) - 60 FROM symbol_prices m WHERE m.symbol = p.symbol)
) recent GROUP BY symbol ORDER BY symbol
"""
ACCOUNT = """
SELECT account_mode, balance_cents, open_trades, closed_trades FROM account_snapshot ORDER BY id DESC LIMIT 1
"""
# The planner's counts: exact ones of large tables are too dear for a page that asks every two seconds.
ROWS = """
SELECT relname AS "table", n_live_tup AS rows, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY relname
"""


def _select(connection: Connection, statement: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode()).fetchall()


def log_bytes(directory: Path) -> int | None:
    """Return the size of all files in the log directory; None where it cannot be read."""
    try:
        return sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    except OSError:
        return None


def data_files(directory: Path) -> list[dict[str, Any]]:
    """Return each JSON data file with its age in seconds, and only the newest of the trade history."""
    found: list[dict[str, Any]] = []
    for part in ("live_data", "users", "trade_history"):
        paths = sorted((directory / part).glob("*.json"))
        for path in paths[-1:] if part == "trade_history" else paths:
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            age = max(0.0, time.time() - state.st_mtime)
            found.append({"name": f"{part}/{path.name}", "age": round(age, 1), "bytes": state.st_size})
    return found


class Overview:
    """The content of /api/overview."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._content: dict[str, Any] = {}
        self._made = float("-inf")

    def content(self) -> dict[str, Any]:
        """Return it, made anew if it is older than a second."""
        with self._lock:
            if time.monotonic() - self._made > CACHE_SECONDS:
                self._content = self._make()
                self._made = time.monotonic()
            return self._content

    def _make(self) -> dict[str, Any]:
        settings = self._context.settings
        with self._context.db.transaction() as connection:
            beats = {row["service"]: row for row in _select(connection, BEATS)}
            account = _select(connection, ACCOUNT)
            content: dict[str, Any] = {
                "at": datetime.now(timezone.utc).isoformat(),
                "version": VERSION,
                "services": [beats.get(name, {"service": name, "age": None}) for name in SERVICES],
                "trades": _select(connection, TRADES),
                "prices": _select(connection, PRICES),
                "account": account[0] if account else None,
                "tables": _select(connection, ROWS),
            }
        content["files"] = data_files(settings.data_dir)
        content["log_bytes"] = log_bytes(settings.log_dir)
        return content
