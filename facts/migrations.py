"""What `operations/migrations.py` reads: the ledger of a database, and its size."""

from __future__ import annotations

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at
from operations.schema import Row


class DatabaseSize(at.CatalogFact[int]):
    """
    Read what a database takes on disk, in bytes; 0 where there is no server yet, or no such database.

    + database: name of the database
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, database: str, cluster: str | None = None) -> StringCommand:
        return at.asked("postgres-size.sql", cluster=cluster, database=database)

    @staticmethod
    @override
    def default() -> int:
        return 0

    @override
    def process(self, output: list[str]) -> int:
        found: int | None = at.read(output)
        return found or 0


class Migrations(at.CatalogFact[list[Row]]):
    """
    Read which migrations a database has had, from `public.schema_migrations`, in the order of their names.

    [] where there is no server yet, or it is down, no such database, or no ledger in it. Names are without
    `.sql`; `sha256` is None where the app's own ledger keeps none.

    + database: name of the database
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, database: str, cluster: str | None = None) -> StringCommand:
        return at.asked(cluster=cluster, database=database, inside=["migrations-ledger.sql"])

    @staticmethod
    @override
    def default() -> list[Row]:
        return []

    @override
    def process(self, output: list[str]) -> list[Row]:
        rows: list[Row] | None = at.read(output)
        return [Row(name=str(row["name"]).removesuffix(".sql"), sha256=row["sha256"]) for row in rows or []]
