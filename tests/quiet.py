"""
Watch a test host on which nothing happens, as it is deployed by default: no alert may fire, and monitoring
may not take more of the host than it is meant to.

usage: scripts/quiet [--minutes N] [--image IMAGE] [--host NAME]      exit code 1 where one of both is not so

A host is made, rec_io deployed with health and monitoring on, and removed in the end; or NAME is watched, a
host of this clone that is monitored. The minutes are the clock's, and begin at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from lab import lifecycle, state
from tests.lab import alerting, templates
from tests.lab.playbook import LabHost, shell, ssh
from tests.lab.project import Deployed, copy

# What monitoring may take: percent of one CPU, and MiB.
PERCENT, MEBIBYTES = 3.0, 150
COST = Path(alerting.__file__).with_name("cost.py")
ON = 'overrides = {**overrides, "health": {"restart_after": 3}, "monitoring": {}}\n'
# Prints what Prometheus has of a time: usage ... BEGIN END QUERY
ASK = """
import sys, urllib.parse, urllib.request
begin, end, query = sys.argv[1:]
given = urllib.parse.urlencode({"query": query, "start": begin, "end": end, "step": 15})
with urllib.request.urlopen(f"http://127.0.0.1:9090/api/v1/query_range?{given}", timeout=30) as answer:
    print(answer.read().decode())
"""


def lab_host(one: state.Host) -> LabHost:
    return LabHost(one.name, one.image, one.address, one.key, one.known_hosts)


def ask(host: LabHost, begin: float, end: float, query: str) -> list[dict[str, Any]]:
    said = json.loads(shell(host, f"python3 - {begin} {end} '{query}'", stdin=ASK))
    found: list[dict[str, Any]] = said["data"]["result"]
    return found


def judged(host: LabHost, begin: float, end: float) -> tuple[list[str], list[str]]:
    """Return which alerts fired in a time, and which of them are about the machine that the host shares."""
    rows = ask(host, begin, end, 'ALERTS{alertstate="firing"}')
    names = sorted({one["metric"]["alertname"] for one in rows})
    own = ssh(host, f"test -e {alerting.OWN}").returncode == 0
    of_the_machine = alerting.OF_THE_MACHINE | (set() if own else alerting.OF_THE_HOST)
    shared = [one for one in names if one in of_the_machine]
    return [one for one in names if one not in shared], shared


def measured(host: LabHost, begin: float, end: float) -> dict[str, int]:
    """Return how many of all looks found each job up, and how many rounds of health there were."""
    looks = {one["metric"]["job"]: one["values"] for one in ask(host, begin, end, "up")}
    found = {job: sum(value == "1" for _, value in values) for job, values in looks.items()}
    rounds = ask(host, begin, end, "hostwright_health_run_timestamp_seconds")
    return {**found, "rounds": len({value for one in rounds for _, value in one["values"]})}


def watch(host: LabHost, minutes: float) -> int:
    begin = float(shell(host, "date +%s"))
    cost = json.loads(
        shell(host, f"python3 - {minutes * 60}", stdin=COST.read_text(), timeout=minutes * 60 + 300)
    )
    end = float(shell(host, "date +%s"))
    fired, shared = judged(host, begin, end)
    seen = measured(host, begin, end)
    print(f"{(end - begin) / 60:.1f} minutes; seen: {', '.join(f'{one} {n}' for one, n in seen.items())}")
    if shared:
        print(f"not counted, for they are about the machine that it shares: {', '.join(shared)}")
    looks = (end - begin) // 15
    blind = [one for one, n in seen.items() if n < (0.9 * looks if one != "rounds" else minutes - 1)]
    if blind:
        print(f"not measured all the time: {', '.join(blind)}")
    print(f"fired: {', '.join(fired) or 'none'}")
    return 1 if fired or blind or dear(cost) else 0


def dear(cost: dict[str, float]) -> bool:
    """Tell what monitoring took; return whether that is more than it may."""
    percent = cost["daemons_percent"] + cost["rounds_percent"]
    most = max(cost["mebibytes_between_rounds"], cost["mebibytes_in_a_round"])
    print(
        f"cost: {percent:.2f} % of one CPU ({cost['daemons_percent']} by what always runs, at most "
        f"{cost['rounds_percent']} by {cost['rounds']} rounds); {cost['mebibytes_between_rounds']} MiB, and "
        f"{cost['mebibytes_in_a_round']} while a round runs, at most"
    )
    return percent > PERCENT or most > MEBIBYTES


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/quiet", description="No alert fires where nothing happens."
    )
    parser.add_argument("--minutes", type=float, default=10, help="how long; default 10")
    parser.add_argument("--image", default="bookworm", help="image of the host; default bookworm")
    parser.add_argument("--host", help="one that is there and monitored; default a new one")
    chosen = parser.parse_args(words)
    if chosen.host is not None:
        there = state.load(chosen.host)
        if there is None:
            parser.error(f"there is no host {chosen.host!r}; `python -m lab list` shows them")
        return watch(lab_host(there), chosen.minutes)
    name = f"test-{os.getpid()}-quiet"
    with tempfile.TemporaryDirectory(prefix="hostwright-quiet-") as place:
        try:
            with templates.disk("packages", chosen.image) as saved:
                made = lifecycle.up(name, image=chosen.image, disk=saved, memory=alerting.MEMORY)
            host = lab_host(made)
            alerting.own_measurements(host)
            deployed = Deployed(host, "root", copy(Path(place)))
            with (deployed.project / "group_data/lab.py").open("a") as file:
                file.write(ON)
            deployed.run("-y")
            return watch(host, chosen.minutes)
        finally:
            lifecycle.down(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
