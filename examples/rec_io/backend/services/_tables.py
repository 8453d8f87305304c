"""What several services ask of the database, and how they keep their tables small."""

from __future__ import annotations

from backend.db import Connection
from backend.service import Context

KEEP = "6 hours"
PRUNE_EACH_TICKS = 30
# Names never come from outside: they are written here.
PRUNED = {
    "symbol_prices": b"DELETE FROM symbol_prices WHERE at < now() - %s::interval",
    "coordinator_cycle": b"DELETE FROM coordinator_cycle WHERE at < now() - %s::interval",
    "account_snapshot": b"DELETE FROM account_snapshot WHERE at < now() - %s::interval",
    "api_probe": b"DELETE FROM api_probe WHERE at < now() - %s::interval",
}
LATEST = "SELECT DISTINCT ON (symbol) symbol, price FROM symbol_prices ORDER BY symbol, step DESC"


def prune(context: Context, connection: Connection, table: str) -> None:
    """Now and then, drop the rows of ``table`` that are older than is kept."""
    if context.ticks % PRUNE_EACH_TICKS == 0:
        connection.execute(PRUNED[table], (KEEP,))


def latest_prices(connection: Connection) -> dict[str, float]:
    """Return symbol → newest price."""
    return {symbol: float(price) for symbol, price in connection.execute(LATEST)}
