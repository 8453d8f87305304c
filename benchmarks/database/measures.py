"""
What is measured: a bare command against ours, one after the other in turn, both on one lab host.

The restore is more than a command, and has a module of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.playbook import LabHost, shell

DATABASE = "rec_io_db"
ROOT = "/var/backups/rec_io"
AS_POSTGRES = "cd / && runuser -u postgres --"
BARE_DUMP = "/var/lib/postgresql/bare"
DUMP = f"{AS_POSTGRES} pg_dump -Fd -j2 -Z1 -f {BARE_DUMP} -d {DATABASE}"
BACKUP = "systemctl start hostwright-backup-rec_io.service"
# Of the whole bare command; what is asked of a backup and of a restore.
LIMIT = 1.3
SECONDS = 600


@dataclass(frozen=True)
class Measure:
    """
    One comparison.

    + label: what it is
    + bare, ours: run once, each from where `before` brings the host to; return the seconds that they took
    + before: run before each of both, not measured
    + limit: what the medians' ratio may be at most
    """

    label: str
    bare: Callable[[], float]
    ours: Callable[[], float]
    before: Callable[[], object]
    limit: float = LIMIT


def timed(host: LabHost, command: str) -> float:
    """Run a command on the host; return the seconds that it took."""
    began = time.monotonic()
    shell(host, command, timeout=SECONDS)
    return round(time.monotonic() - began, 2)


def backup(host: LabHost) -> Measure:
    """The unit of the daily backup against the dump that it makes."""
    return Measure(
        label="backup",
        bare=lambda: timed(host, DUMP),
        ours=lambda: timed(host, BACKUP),
        before=lambda: shell(host, f"rm -rf {BARE_DUMP} {ROOT}/2*; sleep 1", timeout=SECONDS),
    )


def measured(one: Measure, times: int) -> dict[str, object]:
    """Measure both in turn, so that whatever else the machine does falls on both."""
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for number in range(times):
        for which in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
            one.before()
            seconds[which].append(one.bare() if which == "bare" else one.ours())
    medians = {which: statistics.median(found) for which, found in seconds.items()}
    ratio = round(medians["ours"] / medians["bare"], 3)
    return {"seconds": seconds, "medians": medians, "ratio": ratio, "limit": one.limit}
