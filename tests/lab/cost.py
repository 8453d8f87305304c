"""
Measure what monitoring takes of a test host: CPU time and memory.

usage: cost.py SECONDS      as root on the host; prints JSON

Memory is the processes' share (PSS in smaps_rollup), looked at every ten seconds, and five times a second
while a round of health runs. CPU time of rounds is what all programs took that systemd started and that ended
meanwhile: on a host on which nothing happens those are the rounds; what else there was is counted as theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

DAEMONS = tuple(f"hostwright-{one}.service" for one in ("node", "postgres", "prometheus", "alertmanager"))
ROUND = "hostwright-health.service"
SESSION = "postgres: prometheus "
EVERY, OFTEN = 10.0, 0.2
TICK = os.sysconf("SC_CLK_TCK")


def processes() -> dict[int, str]:
    """Return what belongs to monitoring: process id to the unit, or to what the server calls the session."""
    found = {}
    for one in Path("/proc").iterdir():
        if not one.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            groups = (one / "cgroup").read_text().split()
            units = {group.rsplit("/", 1)[-1] for group in groups} & {*DAEMONS, ROUND}
            named = (one / "cmdline").read_bytes().decode(errors="replace")
            if units:
                found[int(one.name)] = units.pop()
            elif named.startswith(SESSION):
                found[int(one.name)] = SESSION.strip()
    return found


def times(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process so far, and those of its children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system, waited_user, waited_system = map(int, fields[11:15])
    return (user + system) / TICK, (waited_user + waited_system) / TICK


def memory(pid: int) -> int:
    """Return a process's share of memory in kB; 0 once it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def used() -> dict[int, float]:
    return {pid: times(pid)[0] for pid, unit in processes().items() if unit != ROUND}


def main(seconds: float) -> None:
    began, before, ended = time.monotonic(), used(), times(1)[1]
    at_most, rounds, inside, next_look = {True: 0, False: 0}, 0, False, 0.0
    while (now := time.monotonic()) < began + seconds:
        there = processes()
        during = ROUND in there.values()
        rounds += during and not inside
        inside = during
        if during or now >= next_look:
            at_most[during] = max(at_most[during], sum(memory(pid) for pid in there))
            next_look = now + EVERY
        time.sleep(OFTEN)
    lasted, after = time.monotonic() - began, used()
    by_daemons = sum(one - before.get(pid, 0.0) for pid, one in after.items())
    print(
        json.dumps(
            {
                "seconds": round(lasted, 1),
                "rounds": rounds,
                "daemons_percent": round(100 * by_daemons / lasted, 2),
                "rounds_percent": round(100 * (times(1)[1] - ended) / lasted, 2),
                "mebibytes_between_rounds": at_most[False] >> 10,
                "mebibytes_in_a_round": at_most[True] >> 10,
            }
        )
    )


if __name__ == "__main__":
    main(float(sys.argv[1]))
