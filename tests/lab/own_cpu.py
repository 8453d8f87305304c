"""
Write what /proc/stat is of a test host alone, as lxcfs does: it shows the machine, busy with other tests.

usage: own_cpu.py FILE      as root on the host, until it is ended; a unit gets it by BindReadOnlyPaths=

Used is the time in which its threads ran. One that never slept, but ran or waited for a CPU all the time,
counts as having run all the time: alone on a machine it would have.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

SECONDS = 1.0
NEVER_SLEPT = 0.95
ROOM = 16384
TICKS = os.sysconf("SC_CLK_TCK")


def threads() -> dict[str, tuple[float, float]]:
    """Return of each thread for how many seconds it ran, and waited for a CPU, so far."""
    found = {}
    for process in os.scandir("/proc"):
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for thread in os.scandir(f"{process.path}/task"):
                ran, waited, _ = Path(thread.path, "schedstat").read_text().split()
                found[thread.name] = int(ran) / 1e9, int(waited) / 1e9
    return found


def used_by(before: tuple[float, float], after: tuple[float, float], seconds: float) -> float:
    """Return for how many of some seconds a thread would have run, alone on a machine."""
    ran, waited = after[0] - before[0], after[1] - before[1]
    return seconds if ran + waited > NEVER_SLEPT * seconds else ran


def text(machine: str, used: float, idle: float) -> str:
    """Return the machine's /proc/stat with the host's own times, in seconds, spread over all CPUs."""
    lines = machine.splitlines(keepends=True)
    count = sum(line.startswith("cpu") for line in lines) - 1
    made = []
    for line in lines:
        name = line.split(maxsplit=1)[0]
        if not name.startswith("cpu"):
            made.append(line)
            continue
        share = 1 if name == "cpu" else count
        times = [used, 0, 0, idle, 0, 0, 0, 0, 0, 0]
        made.append(f"{name} {' '.join(str(round(one / share * TICKS)) for one in times)}\n")
    return "".join(made)


def main(own: Path) -> None:
    cpus = os.cpu_count() or 1
    known, at, used, idle = threads(), time.monotonic(), 0.0, 0.0
    with own.open("wb", buffering=0) as file:
        while True:
            made = text(Path("/proc/stat").read_text(), used, idle).encode()
            # One write of one length: whoever reads meanwhile sees whole lines, and nothing of former ones.
            os.pwrite(file.fileno(), made.ljust(ROOM, b"\n"), 0)
            time.sleep(SECONDS)
            now, seen = threads(), time.monotonic()
            wanted = sum(used_by(known.get(one, (0, 0)), about, seen - at) for one, about in now.items())
            there = (seen - at) * cpus
            used += min(wanted, there)
            idle += there - min(wanted, there)
            known, at = now, seen


if __name__ == "__main__":
    main(Path(sys.argv[1]))
