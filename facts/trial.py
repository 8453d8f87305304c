"""What `operations/trial` reads: what a host remembers of its runs."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class SnapshotFields(TypedDict):
    """One snapshot: the run that made it, when, each app's release then, and what it holds."""

    run: str
    made: float
    current: dict[str, str | None]
    files: int
    bytes: int
    dumps: list[str]


class HistoryFields(TypedDict):
    """
    The memory of a host.

    `runs` are the ledger's last lines, oldest first. `releases` is app to release to its "state" ("good",
    "bad", "cut off" or, by a rollback, "left"), "at" and "why". `trial` is the run that is on trial, `lock`
    who is at work; both empty where nobody is.
    """

    runs: list[dict[str, Any]]
    releases: dict[str, dict[str, dict[str, Any]]]
    snapshots: list[SnapshotFields]
    trial: dict[str, Any] | None
    lock: dict[str, str]


class Holder(FactBase[str]):
    """
    Read who is at work on a host, as a sentence; "" where nobody is, or a run was cut off.

    Example: `host.get_fact(Holder)`
    """

    @override
    def command(self) -> StringCommand:
        return script("run-lock.sh", "held")

    @staticmethod
    @override
    def default() -> str:
        return ""

    @override
    def process(self, output: list[str]) -> str:
        return " ".join(output)


class History(FactBase[HistoryFields]):
    """
    Read what a host remembers of its runs, in one round trip; all empty where there was none.

    + lines: how many runs at most, default 20
    """

    @override
    def requires_command(self, lines: int = 20) -> str:
        return "python3"

    @override
    def command(self, lines: int = 20) -> StringCommand:
        return script("trial-history.py", lines)

    @staticmethod
    @override
    def default() -> HistoryFields:
        return HistoryFields(runs=[], releases={}, snapshots=[], trial=None, lock={})

    @override
    def process(self, output: list[str]) -> HistoryFields:
        found: HistoryFields = json.loads("".join(output))
        return found
