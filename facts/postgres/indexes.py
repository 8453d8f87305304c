"""Facts about indexes."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import StringCommand
from typing_extensions import override

from facts.postgres import cluster as at


class There(TypedDict):
    """What has an index's name: whether it is an index, its table, and all from USING on."""

    index: bool
    table: str | None
    valid: bool
    unique: bool
    body: str | None


class IndexFields(TypedDict):
    """
    One declared index.

    `kind` is pg_class's letter for its table, None without one; `spelled` is what is declared as PostgreSQL
    writes it, `error` why PostgreSQL does not take it; both None where that was not needed.
    """

    name: str
    kind: str | None
    spelled: str | None
    error: str | None
    there: There | None


class Indexes(at.CatalogFact[list[IndexFields] | None]):
    """
    Read all declared indexes of a database at once; None where there is no such database.

    + declared: of each its name, schema, table, unique and body, the text from USING on
    + database: database that they are in
    + cluster: "VERSION/NAME", default the host's only one

    A declaration that is not spelled as PostgreSQL does is made on an empty temporary table, and that is
    rolled back: nothing stays of it.
    """

    @override
    def command(
        self, declared: list[dict[str, str | bool]], database: str, cluster: str | None = None
    ) -> StringCommand:
        return at.asked(
            cluster=cluster, database=database, inside=["postgres-indexes.sql"], declared=json.dumps(declared)
        )

    @override
    def process(self, output: list[str]) -> list[IndexFields] | None:
        found: list[IndexFields] | None = at.read(output)
        return found
