"""Run SQL and programs against a host's PostgreSQL cluster, found there and not here."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import StringCommand

from facts import script

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


def catalog(*queries: str, cluster: str | None, **variables: str) -> StringCommand:
    """
    Build a fact's command: queries of `files/host/` in one round trip, or nothing where no server runs.

    + queries: file names, run one after the other in one psql, starting in database postgres; what begins
      with a backslash is a command of psql's own
    + cluster: "VERSION/NAME", or None for the host's only cluster
    + variables: what the queries find as `:'variable'`
    """
    words = _words(queries, variables)
    return script.script("postgres-cluster.sh", cluster or "", ASK_UP, "sql", *words)


def _words(queries: tuple[str, ...], variables: dict[str, str]) -> list[str]:
    text = "\n".join(query if query.startswith("\\") else script.text(query) for query in queries)
    return ["postgres", text, *(f"{key}={value}" for key, value in variables.items())]


def asked(
    file: str, *arguments: str, cluster: str | None, queries: tuple[str, ...] = (), **variables: str
) -> StringCommand:
    """
    Build a fact's command: queries, as those of `catalog`, and then a Python program of `files/host/`.

    Nothing of it runs where no server does. It begins with Python, which the fact has to require: a run that
    has one running on the host already needs no other.

    + file: name of the program, which finds the cluster's whereabouts in its environment
    + arguments: passed on
    + cluster: "VERSION/NAME", or None for the host's only one
    + queries, variables: see `catalog`; default none

    Example: `asked("pgbouncer-control.py", "state", unit, cluster=None)`
    """
    words = _words(queries, variables) if queries else None
    return script.script(
        "postgres-within.py", script.text("postgres-cluster.sh"), cluster or "", ASK_UP, json.dumps(words),
        script.text(file), *arguments,
    )  # fmt: skip


def read(output: list[str]) -> Any:
    """Read the one JSON value in a query's output; None where there is no output."""
    text = "\n".join(output).strip()
    return json.loads(text) if text else None
