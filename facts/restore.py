"""What `operations/restore.py` and its tasks read: backups, what would be lost, and databases left behind."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.postgres import cluster as at
from facts.script import script


class Checked(TypedDict, total=False):
    """
    What a restore or a wipe would meet on its host.

    `problem` alone where it cannot be. Else `server` (such as 150018), `size` of the live database, `stamps`
    of the backups on the host, `path` and `backup` (backup.json) of the one that is asked for, `newer`: a
    line for each table with a time column, `rows`: about how many each table has, and where it was asked
    `may_wipe`, with what the condition `said`.
    """

    problem: str
    server: int
    size: int
    stamps: list[str]
    path: str | None
    backup: dict[str, Any] | None
    newer: list[str]
    rows: dict[str, int]
    may_wipe: bool
    said: str


class Check(FactBase[Checked]):
    """
    Check all that can be checked before anything is touched; a backup is read to its last byte.

    + spec: what restore-check.py takes
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, spec: str, cluster: str | None = None) -> StringCommand:
        return at.program("restore-check.py", spec, need=at.UP, cluster=cluster)

    @override
    def process(self, output: list[str]) -> Checked:
        found: Checked = json.loads("\n".join(output))
        return found


class Kept(TypedDict):
    """A database that a restore or a wipe has left, and its size."""

    database: str
    bytes: int


class KeptDatabases(at.CatalogFact[list[Kept]]):
    """
    Read which databases restores and wipes have left: replaced ones, and fresh ones that never took over.

    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, cluster: str | None = None) -> StringCommand:
        return at.asked("restore-databases.sql", cluster=cluster)

    @staticmethod
    @override
    def default() -> list[Kept]:
        return []

    @override
    def process(self, output: list[str]) -> list[Kept]:
        found: list[Kept] = at.read(output) or []
        return found


class MigrationTexts(FactBase[dict[str, str]]):
    """
    Read the migrations of an app's current release: file name to text.

    + directory: absolute
    """

    @override
    def command(self, directory: str) -> StringCommand:
        return script("restore-migrations.py", directory)

    @staticmethod
    @override
    def default() -> dict[str, str]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, str]:
        found: dict[str, str] = json.loads("\n".join(output))
        return found
