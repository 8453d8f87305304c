"""The whole restore.py, with the app's services running, against bare createdb and pg_restore."""

from __future__ import annotations

import itertools
import re
import statistics
import time
from dataclasses import dataclass, field

from benchmarks.database.measures import (
    AS_POSTGRES,
    BACKUP,
    BARE_DUMP,
    DATABASE,
    DUMP,
    SECONDS,
    Measure,
    timed,
)
from tests.lab.away import polled
from tests.lab.playbook import LabHost, shell
from tests.lab.project import Deployed

BARE = "bare"
PG_RESTORE = f"createdb -T template0 {BARE} && pg_restore --exit-on-error -j2 -d {BARE} {BARE_DUMP}"
# What was replaced is kept, and is as large.
FORGET = """
select format('drop database %I', datname) from pg_database
where datname = :'bare' or datname like :'live' || '\\_replaced\\_%' \\gexec
checkpoint
"""
ROWS = "select count(*), sum(id) from live_data.price_log"
FILLED = re.compile(r"filled in ([0-9.]+) s, analyzed and counted in ([0-9.]+) s")
SWITCHED = re.compile(r"stopped in ([0-9.]+) s, renamed in ([0-9.]+) s")
# How long the services may be stopped for the switch: from the first that is told to stop to when all are
# told to start.
SWITCH_SECONDS = 2.0


@dataclass
class Restores:
    """
    Restores of one backup, bare and ours; what ours took is kept by its parts.

    + deployed: a host with the app, and the copy of the project that it was deployed from
    """

    deployed: Deployed
    parts: dict[str, list[float]] = field(default_factory=dict)

    @property
    def host(self) -> LabHost:
        return self.deployed.host

    def prepare(self) -> None:
        """Make both dumps of the same database."""
        shell(self.host, f"rm -rf {BARE_DUMP}", timeout=SECONDS)
        shell(self.host, DUMP, timeout=SECONDS)
        shell(self.host, BACKUP, timeout=SECONDS)

    def before(self) -> None:
        psql = f"{AS_POSTGRES} psql -XAtq -v bare={BARE} -v live={DATABASE}"
        shell(self.host, psql, stdin=FORGET, timeout=SECONDS)
        time.sleep(1)

    def bare(self) -> float:
        took = timed(self.host, f"{AS_POSTGRES} sh -c '{PG_RESTORE}'")
        if self.rows(BARE) != self.rows(DATABASE):
            raise AssertionError("the bare restore has other rows than the live database")
        return took

    def ours(self) -> float:
        """Restore by the verb; return how long filling, ANALYZE and the comparison of all rows took."""
        had = self.rows(DATABASE)
        began = time.monotonic()
        with polled(self.host) as answered:
            process = self.deployed.start(
                "-y", "--data", "app=rec_io", "--data", "from=newest", "--data", "yes=1", verb="restore.py"
            )
            said = "".join(process.communicate("", timeout=SECONDS))
        whole = time.monotonic() - began
        filled, switched = FILLED.search(said), SWITCHED.search(said)
        if process.returncode != 0 or filled is None or switched is None:
            raise AssertionError(f"restore.py failed:\n{said[-4000:]}")
        if self.rows(DATABASE) != had:
            raise AssertionError("the restored database has other rows than the one before")
        took = {
            "filled": float(filled[1]),
            "analyzed and counted": float(filled[2]),
            "stopped": float(switched[1]),
            "renamed": float(switched[2]),
            "page away": max(later - earlier for earlier, later in itertools.pairwise(answered)),
            "whole run": whole,
        }
        for part, seconds in took.items():
            self.parts.setdefault(part, []).append(round(seconds, 2))
        return round(took["filled"] + took["analyzed and counted"], 2)

    def rows(self, database: str) -> str:
        return shell(self.host, f"{AS_POSTGRES} psql -XAtqd {database}", stdin=ROWS, timeout=SECONDS)

    def measure(self) -> Measure:
        """Filling the database, ANALYZE and the comparison of all rows, against pg_restore alone."""
        return Measure(label="restore", bare=self.bare, ours=self.ours, before=self.before)

    def switch(self) -> dict[str, object]:
        """Return how long the services were stopped at the median."""
        pairs = zip(self.parts["stopped"], self.parts["renamed"], strict=True)
        seconds = [round(stopped + renamed, 2) for stopped, renamed in pairs]
        return {"seconds": seconds, "median": statistics.median(seconds), "limit": SWITCH_SECONDS}
