"""Read the migrations of a directory and compare them with what a database has had. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"(?P<number>\d{3})_[a-z0-9_]+\.sql")
TRANSACTION = re.compile(
    rb"^[ \t]*(BEGIN|COMMIT|END|ROLLBACK|START[ \t]+TRANSACTION)([ \t]+(WORK|TRANSACTION))?[ \t]*;",
    re.I | re.M,
)
BODY = re.compile(rb"(\$\w*\$).*?\1", re.S)


class MigrationError(Exception):
    """Migrations that must not be run; the message names the file and the remedy."""


@dataclass(frozen=True)
class Migration:
    """One file: its name without ``.sql``, its text, and the checksum of it."""

    name: str
    sql: bytes
    sha256: str


def read(directory: Path) -> list[Migration]:
    """Return the migrations of ``directory`` in order; refuse names, numbers and contents that cannot be."""
    if not directory.is_dir():
        raise MigrationError(f"{directory}: not a directory")
    found: dict[str, Migration] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix != ".sql":
            continue
        match = NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path}: name it like 005_add_an_index.sql")
        other = found.get(match["number"])
        if other is not None:
            raise MigrationError(f"{path}: {other.name} has that number already; give it the next one")
        sql = path.read_bytes()
        if TRANSACTION.search(BODY.sub(b"", sql)):
            raise MigrationError(f"{path}: remove its BEGIN and COMMIT; each file runs in one transaction")
        found[match["number"]] = Migration(path.stem, sql, hashlib.sha256(sql).hexdigest())
    return list(found.values())


def pending(migrations: list[Migration], applied: Mapping[str, str]) -> list[Migration]:
    """Return what is still to run, given name → sha256 of what was run.

    What a newer release applied and this one does not know is fine: that is a step back to an older release.
    """
    for migration in migrations:
        if migration.name in applied and applied[migration.name] != migration.sha256:
            raise MigrationError(
                f"{migration.name}: changed since it was applied; put the old text back and add a new file"
            )
    wanted = [m for m in migrations if m.name not in applied]
    known = [m.name for m in migrations if m.name in applied]
    if wanted and known and wanted[0].name < known[-1]:
        raise MigrationError(f"{wanted[0].name}: comes before {known[-1]}, which was applied; renumber it")
    return wanted
