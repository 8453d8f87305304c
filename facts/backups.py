"""What `operations/backups.py` reads: how backups are scheduled on a host, and which there are."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class ScheduledFields(TypedDict):
    """
    How backups are scheduled.

    `files`: path to "sha256", "mode" and "owner" of the program, the declarations and the units. `timers`:
    name to whether it runs as its file says, now and after a boot. `backed_up`: apps that have a backup.
    """

    files: dict[str, dict[str, str | None]]
    timers: dict[str, bool]
    backed_up: list[str]


class Scheduled(FactBase[ScheduledFields]):
    """Read in one round trip how backups are scheduled; all empty on a bare host."""

    @override
    def requires_command(self) -> str:
        return "python3"

    @override
    def command(self) -> StringCommand:
        return script("backup-schedule.py", "state")

    @staticmethod
    @override
    def default() -> ScheduledFields:
        return ScheduledFields(files={}, timers={}, backed_up=[])

    @override
    def process(self, output: list[str]) -> ScheduledFields:
        found: ScheduledFields = json.loads("".join(output))
        return found


class Backups(FactBase[dict[str, Any]]):
    """
    Read one app's "backups" (oldest first), "state" (state.json) and "now"; {} where none is declared.

    + app: name of the app
    """

    @override
    def requires_command(self, app: str) -> str:
        return "python3"

    @override
    def command(self, app: str) -> StringCommand:
        return script("backup.py", "list", app)

    @staticmethod
    @override
    def default() -> dict[str, Any]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads("".join(output))
        return found
