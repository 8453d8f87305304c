"""Notice services that fall silent: rows in failure_event, live_data/system_health.json."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from backend import jsonfile
from backend.service import Context, Service

SILENT_SECONDS = 30
CASCADE_SERVICES = 3
AGES = "SELECT service, extract(epoch FROM now() - last_seen)::float8 FROM service_heartbeat ORDER BY service"
BEGIN = "INSERT INTO failure_event (service) VALUES (%s) ON CONFLICT DO NOTHING RETURNING id"
END = "UPDATE failure_event SET ended_at = now() WHERE service = %s AND ended_at IS NULL RETURNING id"


def tick(context: Context) -> str:
    # Its own heartbeat comes after this. In its first ticks, and the first after an outage of the database,
    # the others are only just coming back.
    since = context.good_since
    settled = since is not None and time.monotonic() - since > SILENT_SECONDS
    with context.db.transaction() as connection:
        ages = {name: age for name, age in connection.execute(AGES) if name != context.name}
        silent = [name for name, age in ages.items() if age > SILENT_SECONDS and settled]
        for name in ages:
            if name in silent:
                if connection.execute(BEGIN, (name,)).fetchone():
                    context.log.warning("%s is silent for %.0f s", name, ages[name])
            elif ages[name] <= SILENT_SECONDS and connection.execute(END, (name,)).fetchone():
                context.log.info("%s is heard again", name)
    state = "cascade" if len(silent) >= CASCADE_SERVICES else "degraded" if silent else "ok"
    content = {
        "at": datetime.now(timezone.utc).isoformat(),
        "state": state,
        "silent": silent,
        "seconds_since_heartbeat": {name: round(age, 1) for name, age in ages.items()},
    }
    jsonfile.write(context.settings.data_dir / "live_data" / "system_health.json", content)
    return f"{state}, {len(ages) - len(silent)} of {len(ages)} other services heard"


SERVICE = Service("cascading_failure_detector", tick)
