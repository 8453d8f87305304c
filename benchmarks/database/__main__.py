"""Put the database on a lab host, measure every pair in turn, print medians and ratios, and write JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.database.measures import AS_POSTGRES, DATABASE, SECONDS, backup, measured
from benchmarks.database.restores import Restores
from lab import lifecycle
from tests.lab import templates
from tests.lab.playbook import LabHost, shell
from tests.lab.project import Deployed, copy

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result.json"
ABOUT = """
select pg_database_size(current_database());
select sum(n_live_tup) from pg_stat_user_tables where schemaname in ('live_data', 'ledger');
show server_version;
"""


def prepare(host: LabHost, rows: int) -> dict[str, object]:
    """Put the tables into the database of the app that runs there; return what it is."""
    psql = f"{AS_POSTGRES} psql -XAtq"
    shell(host, f"{psql} -c 'alter system set max_wal_size = \"4GB\"' -c 'select pg_reload_conf()'")
    shape = (HERE / "shape.sql").read_text(encoding="utf-8")
    shell(host, f"{psql} -v rows={rows} -d {DATABASE}", stdin=shape, timeout=SECONDS)
    size, live, version = shell(host, f"{psql} -d {DATABASE}", stdin=ABOUT).splitlines()
    return {"bytes": int(size), "rows": int(live), "server_version": version, "image": host.image}


def measure(deployed: Deployed, times: int) -> tuple[dict[str, object], list[str]]:
    """Return all that was measured, and what was over its limit."""
    restores, slow = Restores(deployed), []
    measures: dict[str, object] = {}
    for one in (backup(deployed.host), restores.measure()):
        if one.label == "restore":
            restores.prepare()
        measures[one.label] = found = measured(one, times)
        print(one.label, found, flush=True)
        if float(str(found["ratio"])) > one.limit:
            slow.append(f"the {one.label} takes {found['ratio']} times as long as the bare one")
    switch = restores.switch()
    print("switch", switch, "restore by its parts", restores.parts, flush=True)
    if float(str(switch["median"])) > float(str(switch["limit"])):
        slow.append(f"the switch has services stopped for {switch['median']} s")
    return {"measures": measures, "switch": switch, "restore by its parts": restores.parts}, slow


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database")
    parser.add_argument("--image", default="bookworm")
    parser.add_argument("--rows", type=int, default=2_500_000, help="of the table that dominates")
    parser.add_argument("--times", type=int, default=3)
    chosen = parser.parse_args()
    name = f"bench-{chosen.image}"
    try:
        with templates.disk("deployed", chosen.image) as saved:
            up = lifecycle.up(name, image=chosen.image, disk=saved)
        host = LabHost(name, chosen.image, up.address, up.key, up.known_hosts)
        templates.settled(host, "deployed")
        about = prepare(host, chosen.rows)
        print(about, flush=True)
        with tempfile.TemporaryDirectory(prefix="hostwright-bench-") as place:
            found, slow = measure(Deployed(host, "root", copy(Path(place))), chosen.times)
    finally:
        lifecycle.down(name)
        templates.forget(os.getpid())
    RESULT.write_text(json.dumps({"database": about, **found}, indent=1) + "\n", encoding="utf-8")
    print("\n".join(slow), end="")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
