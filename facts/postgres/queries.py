"""What costs time in databases; no value of anybody's is part of it."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.postgres import cluster as at

# A table that is read faster from its beginning to its end than by an index is no finding.
LARGE_MEGABYTES = 10


class Statement(TypedDict):
    """One statement, without its values; times in milliseconds, `hit` and `read` in pages."""

    query: str
    role: str
    calls: int
    total_exec_time: float
    rows: int
    hit: int
    read: int


class Table(TypedDict):
    """A large table that was read from beginning to end."""

    name: str
    size: int
    seq_scan: int
    seq_tup_read: int
    idx_scan: int


class Unused(TypedDict):
    """An index that answered nothing, and is not there to keep values unique."""

    name: str
    table_name: str
    size: int


class Duplicate(TypedDict):
    """Indexes that are the same; `size` is of those that could go."""

    names: list[str]
    table_name: str
    size: int


class QueriesFields(TypedDict):
    """One database; `statements` is None where pg_stat_statements counts nothing, `since` in seconds UTC."""

    statements: list[Statement] | None
    since: float
    tables: list[Table]
    unused: list[Unused]
    invalid: list[str]
    duplicate: list[Duplicate]


class Queries(FactBase[dict[str, QueriesFields | None]]):
    """
    Read the slowest statements of databases, tables and indexes, in one round trip; {} without a server.

    + databases: names; one that is not there is None
    + lines: of each list at most, default 10
    + megabytes: from which on a table is large, default 10
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(
        self,
        databases: list[str],
        lines: int = 10,
        megabytes: int = LARGE_MEGABYTES,
        cluster: str | None = None,
    ) -> StringCommand:
        return at.program(
            "postgres-queries.py", lines, megabytes, *databases, need=at.ASK_UP, cluster=cluster
        )

    @staticmethod
    @override
    def default() -> dict[str, QueriesFields | None]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, QueriesFields | None]:
        found: dict[str, QueriesFields | None] = json.loads("".join(output)) if output else {}
        return found
