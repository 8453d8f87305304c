"""Make the database on one lab host, measure every pair in turn, print medians and ratios, and write JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.database.measures import DATABASE, MEASURES, Measure
from lab import lifecycle
from tests.lab import templates
from tests.lab.playbook import LabHost, run, shell

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result.json"
SECONDS = 600
SCHEDULE = """
from operations import backups
from operations.backups import Backup
backups.scheduled(backups=[Backup({database!r}, database={database!r}, app_root="/opt/bench")])
"""


def prepare(host: LabHost, rows: int) -> dict[str, object]:
    """Make the database; return what it is."""
    psql = "cd / && runuser -u postgres -- psql -XAtq"
    shell(host, f"{psql} -c 'alter system set max_wal_size = \"4GB\"' -c 'select pg_reload_conf()'")
    shell(host, f"{psql} -c 'create database {DATABASE}'")
    shape = (HERE / "shape.sql").read_text(encoding="utf-8")
    shell(host, f"{psql} -v rows={rows} -d {DATABASE}", stdin=shape, timeout=SECONDS)
    run(host, SCHEDULE.format(database=DATABASE)).ok()
    counted = "select sum(n_live_tup) from pg_stat_user_tables"
    said = shell(
        host,
        f"{psql} -d {DATABASE} -c 'select pg_database_size(current_database())' -c '{counted}' "
        "-c 'show server_version'",
    )
    size, live, version = said.splitlines()
    return {"bytes": int(size), "rows": int(live), "server_version": version, "image": host.image}


def timed(host: LabHost, command: str) -> float:
    began = time.monotonic()
    shell(host, command, timeout=SECONDS)
    return round(time.monotonic() - began, 2)


def measured(host: LabHost, one: Measure, times: int) -> dict[str, object]:
    """Measure both in turn, so that whatever else the machine does falls on both."""
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for number in range(times):
        for which in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
            shell(host, one.before, timeout=SECONDS)
            seconds[which].append(timed(host, getattr(one, which)))
    medians = {which: statistics.median(found) for which, found in seconds.items()}
    ratio = round(medians["ours"] / medians["bare"], 3)
    return {"seconds": seconds, "medians": medians, "ratio": ratio, "limit": one.limit}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database")
    parser.add_argument("--image", default="bookworm")
    parser.add_argument("--rows", type=int, default=2_500_000, help="of the table that dominates")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", choices=[one.label for one in MEASURES])
    chosen = parser.parse_args()
    name = f"bench-{chosen.image}"
    try:
        with templates.disk("packages", chosen.image) as saved:
            up = lifecycle.up(name, image=chosen.image, disk=saved)
        host = LabHost(name, chosen.image, up.address, up.key, up.known_hosts)
        templates.settled(host, "packages")
        about = prepare(host, chosen.rows)
        print(about, flush=True)
        found = {}
        for one in MEASURES:
            if chosen.only in (None, one.label):
                found[one.label] = measured(host, one, chosen.times)
                print(one.label, found[one.label], flush=True)
    finally:
        lifecycle.down(name)
    RESULT.write_text(json.dumps({"database": about, "measures": found}, indent=1) + "\n", encoding="utf-8")
    slow = [label for label, one in found.items() if float(str(one["ratio"])) > float(str(one["limit"]))]
    print("\n".join(f"{label} takes longer than it may" for label in slow), end="")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
