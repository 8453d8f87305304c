"""Fill pending trades at the simulated market's price, through trade_manager."""

from __future__ import annotations

from backend import market
from backend.client import trade_manager
from backend.service import Context, Service
from backend.services._tables import latest_prices


def tick(context: Context) -> str:
    client = trade_manager(context.settings.target_host, context.settings.trade_manager_port)
    waiting = client.get("/trades?status=pending&limit=20") or []
    if not waiting:
        return "nothing to fill"
    with context.db.transaction() as connection:
        prices = latest_prices(connection)
    filled = 0
    for trade in reversed(waiting):
        cents = market.contract_cents(trade["ticker"], prices) or trade["limit_cents"]
        if client.post(f"/trades/{trade['id']}/fill", {"cents": cents}):
            context.log.info("trade %d filled at %d cents", trade["id"], cents)
            filled += 1
    return f"filled {filled} of {len(waiting)}"


SERVICE = Service("trade_executor", tick, log_every=3, port="trade_executor_port")
