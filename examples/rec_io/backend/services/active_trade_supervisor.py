"""Close trades that have been open for long enough, through trade_manager."""

from __future__ import annotations

from backend import market
from backend.client import trade_manager
from backend.service import Context, Service
from backend.services._tables import latest_prices

HOLD_SECONDS = 20.0


def tick(context: Context) -> str:
    client = trade_manager(context.settings.target_host, context.settings.trade_manager_port)
    held = client.get("/trades?status=filled&limit=100") or []
    due = [trade for trade in held if trade["seconds_filled"] >= HOLD_SECONDS]
    if due:
        with context.db.transaction() as connection:
            prices = latest_prices(connection)
    for trade in reversed(due):
        cents = market.contract_cents(trade["ticker"], prices) or trade["fill_cents"]
        if client.post(f"/trades/{trade['id']}/close", {"cents": cents}):
            context.log.info("trade %d closed at %d cents", trade["id"], cents)
    return f"{len(held) - len(due)} held, {len(due)} closed"


SERVICE = Service("active_trade_supervisor", tick, log_every=3, port="active_trade_supervisor_port")
