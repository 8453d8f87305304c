"""Read an app's migrations on this machine and find what is wrong, before any host is touched. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypedDict

from pyinfra.api.exceptions import PyinfraError

from operations.sql_scan import Scan, ScanError, Statement, scan

NAME = re.compile(r"(?P<number>\d{3,9})_[a-z0-9_]+\.sql")
MARKER = re.compile(r"--+\s*hostwright\s*:\s*(?P<word>.*?)\s*")
NO_TRANSACTION = "no transaction"
BREAKING = "breaks earlier releases"
MARKERS = (NO_TRANSACTION, BREAKING)
# What a migration must not do itself: it runs in a transaction together with its row of the ledger.
OWN_TRANSACTION = {("BEGIN",), ("COMMIT",), ("END",), ("ABORT",), ("ROLLBACK",), ("START", "TRANSACTION"),
                   ("PREPARE", "TRANSACTION")}  # fmt: skip
# What PostgreSQL refuses within a transaction.
ALONE = {("VACUUM",), ("ALTER", "SYSTEM"), ("CREATE", "DATABASE"), ("DROP", "DATABASE"),
         ("CREATE", "TABLESPACE"), ("DROP", "TABLESPACE")}  # fmt: skip


class SchemaError(PyinfraError):
    """Migrations that must not be run; the message names each file and the remedy."""


class File(TypedDict):
    """
    One migration: its name without `.sql`, the checksum of its bytes, and what it says of itself.

    `indexes` are those that it makes with CREATE INDEX CONCURRENTLY: cut off, it leaves them invalid.
    """

    name: str
    sha256: str
    transaction: bool
    breaking: bool
    indexes: list[str]


def read(
    source: Path, directory: str, *, own: bool = True, only: Collection[str] | None = None
) -> list[File]:
    """
    Read the migrations of an app's source, in the order of their names.

    + source: the app's directory on this machine
    + directory: the migrations' directory in it, such as "migrations"
    + own: whether hostwright runs them itself, default True; False takes names and contents as the app's own
      command wants them, and reads the markers only
    + only: paths relative to the source that the artefact carries; default all

    Raises SchemaError with everything that is wrong.

    Example: `migration_files.read(Path("examples/rec_io"), "migrations")`
    """
    place = source / directory
    if not place.is_dir():
        raise SchemaError(f"migrations: {place} is not a directory; name the one that holds NNN_words.sql")
    files: list[File] = []
    wrong: list[str] = []
    for path in sorted(place.glob("*.sql")):
        inner = f"{directory}/{path.name}"
        if only is None or inner in only:
            made, findings = file_of(path.name, path.read_bytes(), own=own)
            files.append(made)
            wrong += [f"{inner}: {finding}" for finding in findings]
    if own:
        wrong += [f"{directory}/{finding}" for finding in name_findings([one["name"] for one in files])]
    if wrong:
        raise SchemaError("migrations: nothing was run\n" + "\n".join(f"  - {finding}" for finding in wrong))
    return files


def file_of(name: str, content: bytes, *, own: bool = True) -> tuple[File, list[str]]:
    """Read one migration, and find what is wrong with it."""
    stem = name.removesuffix(".sql")
    made = File(
        name=stem, sha256=hashlib.sha256(content).hexdigest(), transaction=True, breaking=False, indexes=[]
    )
    try:
        text = content.decode("utf-8-sig")
        found = scan(text) if own else Scan([], _comments(text))
    except UnicodeDecodeError:
        return made, ["is not UTF-8 text; save it as UTF-8"]
    except ScanError as problem:
        return made, [str(problem)]
    if own and "\0" in text:
        return made, ["has a NUL character in it; remove it"]
    markers, wrong = _markers(text, found.comments)
    made["transaction"] = NO_TRANSACTION not in markers
    made["breaking"] = BREAKING in markers
    for statement in found.statements:
        wrong += [f"line {statement.line}: {what}" for what in _findings(statement, made["transaction"])]
        index = concurrent_index(statement)
        if index:
            made["indexes"].append(index)
    return made, wrong


def _comments(text: str) -> list[tuple[int, str]]:
    return [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.startswith("--")]


def _markers(text: str, comments: list[tuple[int, str]]) -> tuple[set[str], list[str]]:
    """Read the marker lines, which stand before the first statement."""
    lines = text.splitlines()
    first = next(
        (at for at, line in enumerate(lines, 1) if line.strip() and not line.startswith("--")),
        len(lines) + 1,
    )
    markers: set[str] = set()
    wrong = []
    for at, comment in comments:
        match = MARKER.fullmatch(comment)
        if match is None:
            continue
        if match["word"] not in MARKERS:
            known = " or ".join(repr(f"-- hostwright: {marker}") for marker in MARKERS)
            wrong.append(f"line {at}: {comment.strip()!r} means nothing; write {known}")
        elif at > first:
            wrong.append(f"line {at}: {comment.strip()!r} counts only before the first statement; move it up")
        else:
            markers.add(match["word"])
    return markers, wrong


def _findings(statement: Statement, transaction: bool) -> list[str]:
    words = statement.words
    heads = {words[:1], words[:2]}
    concurrently = "CONCURRENTLY" in words[:6]
    if heads & OWN_TRANSACTION and not (words[:1] == ("ROLLBACK",) and "TO" in words[1:3]):
        return [f"{words[0]} is hostwright's to say: each file runs in one transaction; remove it"]
    if transaction and (
        heads & ALONE or (concurrently and (words[:1] == ("REINDEX",) or "INDEX" in words[1:3]))
    ):
        return [
            f"{' '.join(words[:3])} cannot run in a transaction; "
            f"put it in a file of its own whose first line is: -- hostwright: {NO_TRANSACTION}"
        ]
    if not transaction and concurrently and words[0] == "CREATE" and not concurrent_index(statement):
        return ["write CREATE INDEX CONCURRENTLY IF NOT EXISTS name: cut off, it has to be run again"]
    return []


def concurrent_index(statement: Statement) -> str | None:
    """Return the name of the index that CREATE INDEX CONCURRENTLY IF NOT EXISTS makes, None for others."""
    words = [word for word in statement.words if word != "UNIQUE"]
    if words[:6] != ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS"] or len(words) < 7:
        return None
    if words[6] == "ON":
        return None
    name = words[6]
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def name_findings(names: Sequence[str]) -> list[str]:
    """Find names that have no number, another width, or a number twice."""
    found = []
    numbers: dict[str, str] = {}
    for name in names:
        match = NAME.fullmatch(f"{name}.sql")
        if match is None:
            found.append(f"{name}.sql: name it like 005_add_an_index.sql")
            continue
        number = match["number"]
        if numbers and len(number) != len(next(iter(numbers))):
            found.append(f"{name}.sql: has a number of {len(number)} digits where others have "
                         f"{len(next(iter(numbers)))}; give all the same width")  # fmt: skip
        if number in numbers:
            found.append(f"{name}.sql: {numbers[number]}.sql has that number already; give it the next one")
        numbers.setdefault(number, name)
    return found
