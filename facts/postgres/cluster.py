"""Run SQL and programs against a host's PostgreSQL cluster, found there and not here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts import script

Known = TypeVar("Known")
UP = "up"
EXISTS = "exists"
ASK_UP = "ask-up"
ASK_EXISTS = "ask-exists"


def sql(statements: str, *, cluster: str | None, database: str = "postgres") -> StringCommand:
    """
    Build the command that runs SQL as the administrator; it stops at the first error and exits non-zero.

    + statements: SQL text, sent by standard input, so it never shows in the host's process list
    + cluster: "VERSION/NAME", or None for the host's only cluster
    + database: database to connect to, default "postgres"
    """
    return script.script("postgres-cluster.sh", cluster or "", UP, "sql", database, stdin=statements)


def program(
    file: str, *arguments: str | int, need: str, cluster: str | None, stdin: str | None = None
) -> StringCommand:
    """
    Build the command that runs a program of `files/host/` with the cluster's whereabouts in its environment.

    + file: file name below `files/host/`, ending in `.sh` or `.py`
    + arguments: passed on, quoted
    + need: what has to be so on the host: UP or EXISTS, which fail where it is not, or ASK_UP or ASK_EXISTS,
      which then do nothing
    + cluster: "VERSION/NAME", or None for the host's only cluster
    + stdin: text for its standard input, default none
    """
    runner = ["python3", "-I", "-c"] if file.endswith(".py") else ["sh", "-c"]
    label = [] if file.endswith(".py") else [file]
    return script.script(
        "postgres-cluster.sh",
        cluster or "",
        need,
        *runner,
        script.text(file),
        *label,
        *arguments,
        stdin=stdin,
    )


class CatalogFact(FactBase[Known]):
    """What PostgreSQL is asked for; None on a host without Python, by which it is asked."""

    @override
    def requires_command(self, *_: Any, **__: Any) -> str:
        return "python3"

    @staticmethod
    @override
    def default() -> Any:
        return None


def asked(
    *queries: str,
    cluster: str | None,
    database: str | None = None,
    inside: Sequence[str] = (),
    program: Sequence[str] = (),
    given: str | None = None,
    **variables: str,
) -> StringCommand:
    """
    Build a `CatalogFact`'s command, which does nothing where no server runs.

    What begins with a backslash, among the queries, is a command of psql's own, and else a file name below
    `files/host/`. Those that a run is known to ask for are all asked in one session.

    + queries: asked whatever the database is, before the others
    + cluster: "VERSION/NAME", or None for the host's only one
    + database: database of those below, which are left out where there is none; they all find it as
      `:'database'`
    + inside: queries for that database
    + program: a Python program of `files/host/`, run after that with the cluster's whereabouts in its
      environment, and its arguments; default none
    + given: query whose answer is the program's standard input, and is not printed; default none
    + variables: what the queries find as `:'variable'`

    Example: `asked("postgres-hba.sql", cluster=None)`
    """
    request = {
        "queries": _text(queries),
        "database": database,
        "inside": _text(inside),
        "given": _text([given] if given else []),
        "variables": {**({"database": database} if database is not None else {}), **variables},
    }
    file, *arguments = program or [""]
    return script.script(
        "postgres-ask.py", "alone", script.text("postgres-cluster.sh"), cluster or "", json.dumps(request),
        *([script.text(file), *arguments] if file else []),
    )  # fmt: skip


def _text(queries: Sequence[str]) -> str:
    return "\n".join(query if query.startswith("\\") else script.text(query) for query in queries)


def read(output: list[str]) -> Any:
    """Read the one JSON value in a query's output; None where there is no output."""
    text = "\n".join(output).strip()
    return json.loads(text) if text else None
