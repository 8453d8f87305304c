"""Keep the account in step with the trades: rows in account_snapshot, users/<mode>_account.json."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from backend import jsonfile
from backend.service import Context, Service
from backend.services._tables import prune

OPENING_CENTS = 1_000_000
COUNT = """
SELECT count(*) FILTER (WHERE status = 'filled'), count(*) FILTER (WHERE status = 'closed'),
    coalesce(sum(trade_pnl_cents(side, quantity, fill_cents, close_cents)), 0)::bigint
FROM trades
"""
INSERT = """
INSERT INTO account_snapshot (account_mode, balance_cents, open_trades, closed_trades) VALUES (%s, %s, %s, %s)
"""


def credentials(context: Context) -> str:
    """Return what there is of the exchange's key; the exchange is simulated, so it is only looked for."""
    path = context.settings.credentials_path
    if context.settings.account_mode == "demo":
        return "not needed"
    if path is None or not os.access(path, os.R_OK):
        return "missing"
    return "present"


def tick(context: Context) -> str:
    mode = context.settings.account_mode
    key = credentials(context)
    if key == "missing" and context.ticks == 0:
        context.log.warning("REC_CREDENTIALS_PATH: %s cannot be read", context.settings.credentials_path)
    with context.db.transaction() as connection:
        row = connection.execute(COUNT).fetchone()
        opened, closed, pnl = row if row else (0, 0, 0)
        balance = OPENING_CENTS + pnl
        connection.execute(INSERT, (mode, balance, opened, closed))
        prune(context, connection, "account_snapshot")
    content = {
        "at": datetime.now(timezone.utc).isoformat(),
        "account_mode": mode,
        "credentials": key,
        "balance_cents": balance,
        "open_trades": opened,
        "closed_trades": closed,
    }
    jsonfile.write(context.settings.data_dir / "users" / f"{mode}_account.json", content)
    return f"{mode} balance {balance / 100:.2f}, {opened} open, {closed} closed, credentials {key}"


SERVICE = Service("kalshi_account_sync", tick)
