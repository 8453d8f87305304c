"""Watch how fast the (simulated) exchange answers: rows in api_probe, live_data/api_status.json."""

from __future__ import annotations

from datetime import datetime, timezone

from backend import jsonfile, market
from backend.service import Context, Service
from backend.services._tables import prune

SLOW_MS = 200.0


def tick(context: Context) -> str:
    with context.db.transaction() as connection:
        row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM api_probe").fetchone()
        latency = market.latency_ms(row[0] if row else 1)
        connection.execute(
            "INSERT INTO api_probe (latency_ms, slow) VALUES (%s, %s)", (latency, latency > SLOW_MS)
        )
        prune(context, connection, "api_probe")
    state = "slow" if latency > SLOW_MS else "ok"
    content = {"at": datetime.now(timezone.utc).isoformat(), "state": state, "latency_ms": latency}
    jsonfile.write(context.settings.data_dir / "live_data" / "api_status.json", content)
    return f"exchange {state}, {latency:.1f} ms"


SERVICE = Service("kalshi_api_watchdog", tick)
