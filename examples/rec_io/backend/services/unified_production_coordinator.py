"""Decide what to trade, for trade_manager to keep: coordinator_cycle, live_data/coordinator.json."""

from __future__ import annotations

from datetime import datetime, timezone

from backend import jsonfile
from backend.client import trade_manager
from backend.service import Context, Service
from backend.services._tables import prune

MAX_OPEN = 4
TRADE_EACH_CYCLES = 1
CYCLE = "INSERT INTO coordinator_cycle (open_trades, decision) VALUES (%s, '') RETURNING id"
# The contract nearest to even odds, of the symbols in turn.
CONTRACT = """
SELECT symbol || '-' || trim_scale(strike)::text, yes_cents FROM strike_table
WHERE symbol = (SELECT DISTINCT symbol FROM strike_table ORDER BY symbol OFFSET %s %% 3 LIMIT 1)
ORDER BY abs(yes_cents - 50), strike LIMIT 1
"""


def tick(context: Context) -> str:
    with context.db.transaction() as connection:
        row = connection.execute("SELECT count(*) FROM trades WHERE status <> 'closed'").fetchone()
        opened = row[0] if row else 0
        row = connection.execute(CYCLE, (opened,)).fetchone()
        cycle = row[0] if row else 0
        contract = connection.execute(CONTRACT, (cycle // TRADE_EACH_CYCLES,)).fetchone()
        prune(context, connection, "coordinator_cycle")
    # Outside of the transaction: trade_manager has one of its own.
    decision = _decide(context, cycle, opened, contract)
    with context.db.transaction() as connection:
        connection.execute("UPDATE coordinator_cycle SET decision = %s WHERE id = %s", (decision, cycle))
    content = {
        "at": datetime.now(timezone.utc).isoformat(),
        "cycle": cycle,
        "open_trades": opened,
        "decision": decision,
    }
    jsonfile.write(context.settings.data_dir / "live_data" / "coordinator.json", content)
    return f"cycle {cycle}, {opened} open, {decision}"


def _decide(context: Context, cycle: int, opened: int, contract: tuple[object, ...] | None) -> str:
    if contract is None:
        return "no strikes yet"
    if opened >= MAX_OPEN:
        return "enough open"
    if cycle % TRADE_EACH_CYCLES:
        return "wait"
    name, yes = contract
    turn = cycle // TRADE_EACH_CYCLES
    side = "yes" if turn % 2 else "no"
    order = {
        "request_id": f"cycle-{cycle}",
        "ticker": name,
        "side": side,
        "quantity": 1 + turn % 10,
        "limit_cents": yes,
    }
    settings = context.settings
    trade = trade_manager(settings.target_host, settings.trade_manager_port).post("/trades", order)
    return f"trade {trade['id']}: {side} {name}" if trade else "refused"


SERVICE = Service("unified_production_coordinator", tick)
