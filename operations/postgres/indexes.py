"""Indexes: made beside all that goes on where they are missing, compared as PostgreSQL itself spells them."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.postgres import Indexes
from facts.postgres import cluster as at
from facts.postgres.indexes import IndexFields
from operations.differences import differs
from operations.postgres.sqltext import check_cluster, check_name, identifier
from operations.told import told

WHERE = "postgres.indexes"
METHODS = ("btree", "hash", "gin", "gist", "spgist", "brin")
# Each may wait for its locks this often, with 1, 2, 3, ... s between.
LOCK_SECONDS, TRIES = 5, 6
QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
TABLES, PARTITIONED = ("r", "m"), "p"


@dataclass(frozen=True)
class Index:
    """
    One index.

    + table: such as "trades", or "schema.trades"; default schema public
    + columns: as in CREATE INDEX, expressions too, such as "symbol", "created_at DESC", "lower(ticker)"
    + unique: default False
    + method: "btree" (default), "hash", "gin", "gist", "spgist" or "brin"
    + include: columns that it only carries, default none
    + where: condition of the rows that are in it, default all
    + name: default made from table and columns, as PostgreSQL does: "trades_symbol_idx"
    """

    table: str
    columns: Sequence[str]
    unique: bool = False
    method: str = "btree"
    include: Sequence[str] = ()
    where: str | None = None
    name: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Its schema and table."""
        schema, dot, table = self.table.rpartition(".")
        return (schema, table) if dot else ("public", table)

    @property
    def label(self) -> str:
        """Its name, given or made."""
        if self.name is not None:
            return self.name
        words = [re.sub(r"\W+", "_", column).strip("_").lower() for column in self.columns]
        whole = "_".join([self.place[1], *words])
        return f"{whole.encode()[:59].decode(errors='ignore')}_idx"

    @property
    def body(self) -> str:
        """Everything from USING on."""
        include = f" INCLUDE ({', '.join(self.include)})" if self.include else ""
        where = f" WHERE ({self.where})" if self.where else ""
        return f"USING {self.method} ({', '.join(self.columns)}){include}{where}"

    @property
    def create(self) -> str:
        """The statement that makes it."""
        schema, table = self.place
        unique = "UNIQUE " if self.unique else ""
        target = f"{identifier(schema)}.{identifier(table)}"
        return f"CREATE {unique}INDEX CONCURRENTLY {identifier(self.label)} ON {target} {self.body}"

    def declared(self) -> dict[str, str | bool]:
        """Return what the fact asks about."""
        schema, table = self.place
        return {
            "name": self.label, "schema": schema, "table": table, "unique": self.unique, "body": self.body,
        }  # fmt: skip


def wrong_sql(text: str) -> str | None:
    """Say what keeps a text from being a part of a statement, and nothing more; None where nothing does."""
    plain = QUOTED.sub("''", text)
    if not text.strip():
        return "is empty"
    for mark in (";", "--", "/*", "$$", "\n"):
        if mark in plain:
            return f"has {mark!r} in it"
    if "'" in plain.replace("''", "") or '"' in plain:
        return "has a quote that is never closed"
    depth = 0
    for character in plain:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    return "has brackets that do not match" if depth != 0 else None


def check(index: Index) -> None:
    schema, table = index.place
    check_name(WHERE, "schema", schema)
    check_name(WHERE, "table", table)
    if isinstance(index.columns, str) or not index.columns:
        raise OperationError(f"{WHERE}: columns of {index.table} are {index.columns!r}; write a list of them")
    check_name(WHERE, "index", index.label)
    if index.method not in METHODS:
        raise OperationError(
            f"{WHERE}: method {index.method!r} of {index.label} is not one of {', '.join(METHODS)}"
        )
    for text in [*index.columns, *index.include, *([] if index.where is None else [index.where])]:
        wrong = wrong_sql(text)
        if wrong is not None:
            raise OperationError(f"{WHERE}: {text!r} of index {index.label} {wrong}; correct it")


def missing(index: Index, now: IndexFields, database: str, *, settled: bool) -> bool:
    """
    Say whether an index has to be made; raise OperationError where that cannot be.

    + settled: whether migrations have run, so that a table which is not there is an error
    """
    there, name = now["there"], index.label
    if now["kind"] is None and settled:
        raise OperationError(
            f"{WHERE}: index {name}: there is no table {index.table} in {database}; correct 'table', or have"
            " a migration make it"
        )
    if now["kind"] == PARTITIONED:
        raise OperationError(
            f"{WHERE}: index {name}: {index.table} is partitioned, and PostgreSQL makes no index on all of it"
            " concurrently; declare it for each partition, or make it in a migration"
        )
    if now["kind"] is not None and now["kind"] not in TABLES:
        raise OperationError(f"{WHERE}: index {name}: {index.table} is no table; an index needs one")
    if there is None or (there["index"] and not there["valid"] and there["table"] == index.place[1]):
        return True
    if not there["index"] or there["table"] != index.place[1]:
        what = f"an index on {there['table']}" if there["index"] else "no index but something else"
        raise OperationError(
            f"{WHERE}: {name} is already there in {database}, and it is {what};"
            " give the declared one a 'name' of its own"
        )
    if now["error"] is not None:
        if settled:
            raise OperationError(f"{WHERE}: index {name}: PostgreSQL refuses it: {now['error']}")
        return False
    same = (now["spelled"] or index.body) == there["body"]
    if same and there["unique"] == index.unique:
        return False

    def shown(unique: bool, body: str | None) -> str:
        return f"{'UNIQUE ' if unique else ''}{body}"

    raise OperationError(
        f"{WHERE}: index {name} in {database} is there and differs:\n"
        f"  it is      {shown(there['unique'], there['body'])}\n"
        f"  declared   {shown(index.unique, now['spelled'] or index.body)}\n"
        f"  Declare it under a new name, and once that is made drop the old one by hand, as postgres in"
        f" {database}: DROP INDEX CONCURRENTLY {identifier(index.place[0])}.{identifier(name)}"
    )


@operation()
def indexes(
    indexes: list[Index],
    *,
    database: str,
    lock_seconds: int = LOCK_SECONDS,
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Make the indexes of a database that are missing, concurrently: nobody who reads or writes waits for it.

    One that was being made when its run was cut off is dropped and made again. One that is spelled otherwise
    than PostgreSQL writes it, but is the same, is no change. A lock that it does not get is given up after
    lock_seconds and tried again, six times in all.

    + indexes: all of them; what is there and not declared is left alone
    + database: database that they are in
    + lock_seconds: how long it may wait for a lock, default 5
    + cluster: "VERSION/NAME", default the host's only one

    Does not drop or change an index, nor compare storage parameters or tablespaces that are not declared.

    Raises OperationError for a bad declaration, for an index of the same name that is another one, and for a
    table that is not there once migrations have run. What PostgreSQL refuses, such as values that are there
    twice, fails the operation, and leaves nothing of that index.

    Example:

        postgres.indexes(
            name="Make the indexes of rec_io_db",
            indexes=[postgres.Index("trades", ["ticker", "created_at DESC"], where="status <> 'closed'")],
            database="rec_io_db",
        )
    """
    check_cluster(WHERE, cluster)
    check_name(WHERE, "database", database)
    if lock_seconds < 1:
        raise OperationError(f"{WHERE}: lock_seconds is {lock_seconds}; write seconds, 1 or more")
    for index in indexes:
        check(index)
    labels = [index.label for index in indexes]
    for label in labels:
        if labels.count(label) > 1:
            raise OperationError(f"{WHERE}: {label} is declared twice; give each a 'name' of its own")
    if not indexes:
        host.noop(f"no index of {database} is declared")
        return
    found = host.get_fact(
        Indexes, declared=[index.declared() for index in indexes], database=database, cluster=cluster
    )
    todo = list(indexes)
    if found is not None:
        now = {one["name"]: one for one in found}
        settled = host.state.is_executing
        todo = [index for index in indexes if missing(index, now[index.label], database, settled=settled)]
    if not todo:
        host.noop(f"all {len(indexes)} indexes are already in {database} as declared")
        return
    for index in todo:
        differs(f"index {index.label} in {database}", expected="there and valid", found="not so")
    spec = {
        "lock_seconds": lock_seconds,
        "tries": TRIES,
        "indexes": [
            {"name": index.label, "schema": index.place[0], "create": index.create} for index in todo
        ],
    }
    yield told(
        at.program("postgres-indexes.py", database, need=at.UP, cluster=cluster, stdin=json.dumps(spec))
    )
