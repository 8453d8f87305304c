"""How what differs in PostgreSQL is told: its configuration files, and what a statement would bring about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from facts.postgres.server import FileFields
from operations.differences import File, differs, file_differs

OWNER = "postgres"
# Longer ones are told by their beginning.
STATEMENT = 160


def file_in_effect(path: str, content: str, mode: str, found: FileFields | None) -> None:
    """
    Say how a configuration file differs from what is declared, or that it does not count yet.

    + path: absolute
    + content: what is declared, which is no secret
    + mode: the same, as text
    + found: None for a file that is not there
    """
    expected = File(user=OWNER, group=OWNER, mode=mode, sha256=hashlib.sha256(content.encode()).hexdigest())
    there = None
    if found is not None:
        user, _, group = found["owner"].partition(":")
        there = File(user=user, group=group, mode=found["mode"], sha256=found["sha256"] or "")
        if not found["loaded"]:
            differs(path, expected="loaded by the server", found="written since it was loaded")
    file_differs(path, content=content, expected=expected, found=there)


def statements_lack(what: str, statements: Iterable[str]) -> None:
    """
    Say of each statement that what it brings about is not so.

    + what: such as "database shop"
    + statements: SQL, in which there are no secrets
    """
    for statement in statements:
        line = " ".join(statement.split())
        shown = line if len(line) <= STATEMENT else f"{line[:STATEMENT]}..."
        differs(what, expected=f"as after: {shown}", found="not so")
