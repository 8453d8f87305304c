"""What a release says of its database schema: which migrations it has, and which it can live with. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from operations.migration_files import File, SchemaError, read

__all__ = [
    "File", "Row", "SchemaError", "Stated", "breaking", "can_live_with", "cannot_be_undone", "cannot_go_back",
    "irreversible", "pending", "read", "stated", "statement",
]  # fmt: skip

NUMBER = re.compile(r"\d{3,9}(?=_)")


class Row(TypedDict):
    """One row of the ledger; `sha256` is None where the app's own ledger keeps none."""

    name: str
    sha256: str | None


class Stated(TypedDict):
    """What a release says of its schema: its migrations in order, and those that earlier ones cannot bear."""

    migrations: list[str]
    breaking: list[str]


def pending(files: Sequence[File], ledger: Sequence[Row], *, own: bool = True) -> list[str]:
    """
    Return the names of what is still to run.

    Rows that no file is of are fine: a newer release applied them, and this is a step back.

    + files: the release's migrations
    + ledger: rows of the database's ledger
    + own: whether hostwright runs them, default True; False leaves all refusing to the app's own command, and
      returns changed files too, so that it is asked

    Raises SchemaError for a file that was changed since it was applied, or that is numbered before one.
    """
    had = {row["name"]: row["sha256"] for row in ledger}
    changed = [one["name"] for one in files if had.get(one["name"]) not in (None, one["sha256"])]
    todo = [one["name"] for one in files if one["name"] not in had]
    if not own:
        return [one["name"] for one in files if one["name"] in {*changed, *todo}]
    if changed:
        raise SchemaError(
            f"migrations: {', '.join(changed)}: changed since it was applied; "
            "put the old text back and add a new file"
        )
    latest = max((name for name in had if NUMBER.match(name)), key=_number, default=None)
    late = [name for name in todo if latest is not None and _number(name) <= _number(latest)]
    if late:
        raise SchemaError(
            f"migrations: {', '.join(late)}: numbered before {latest}, which was applied; "
            "give it the next number"
        )
    return todo


def _number(name: str) -> int:
    match = NUMBER.match(name)
    return int(match[0]) if match else 0


def statement(
    source: Path, directory: str | None, *, own: bool = True, only: Collection[str] | None = None
) -> Stated:
    """
    Make what a release of this source says of its schema, for the release's marker.

    + source, own, only: as for `read`
    + directory: the migrations' directory, None for an app that has none

    Raises SchemaError as `read` does.

    Example: `schema.statement(Path("examples/rec_io"), "migrations")["breaking"]`
    """
    return stated([] if directory is None else read(source, directory, own=own, only=only))


def stated(files: Iterable[File]) -> Stated:
    """Make the statement of files that were read already."""
    listed = list(files)
    return Stated(
        migrations=[one["name"] for one in listed],
        breaking=[one["name"] for one in listed if one["breaking"]],
    )


def breaking(statements: Iterable[Mapping[str, object] | None]) -> set[str]:
    """Gather what the releases on a host state as breaking: an older one knows nothing of newer files."""
    return {name for one in statements for name in _listed(one, "breaking")}


def can_live_with(
    target: Mapping[str, object] | None, ledger: Iterable[str], breaking_names: Collection[str]
) -> list[str]:
    """
    Return the applied migrations that a release cannot live with; [] means that it may be put back.

    A migration that the release does not have is one that it was made before. It can live with it unless
    some release on the host states that it breaks earlier ones.

    + target: statement of the release to put back; None or {} where it states nothing, and has no migrations
    + ledger: names of applied migrations
    + breaking_names: from `breaking`
    """
    known = set(_listed(target, "migrations"))
    return [name for name in ledger if name not in known and name in breaking_names]


def _listed(stated: Mapping[str, object] | None, key: str) -> list[str]:
    # It comes from a marker on a host: whatever is there, it is read as the names that it lists.
    names = None if stated is None else stated.get(key)
    return [str(name) for name in names] if isinstance(names, (list, tuple)) else []


def cannot_go_back(release: str, names: Sequence[str], dump: str | None = None) -> str:
    """Say why a release cannot be put back, and what can be done instead."""
    subject = f"migration {names[0]} was" if len(names) == 1 else f"migrations {', '.join(names)} were"
    one = (
        f"restore the database dump made before it: {dump}"
        if dump
        else "restore the last database dump made before it (none is kept with the snapshots)"
    )
    return (
        f"release {release} cannot be put back: {subject} applied since, and breaks releases before it. "
        f"Either {one}; or mend forward with a new release. Nothing was changed."
    )


def irreversible(names: Iterable[str], made: Mapping[str, object] | None) -> list[str]:
    """
    Return those of the pending migrations after which the current release cannot be put back.

    + names: from `pending`
    + made: statement of the release that is about to be deployed
    """
    breaks = set(_listed(made, "breaking"))
    return [name for name in names if name in breaks]


def cannot_be_undone(current: str, names: Sequence[str]) -> str:
    """Say why a deploy with a breaking migration does not begin, and how to let it."""
    subject = f"migration {names[0]} breaks" if len(names) == 1 else f"migrations {', '.join(names)} break"
    return (
        f"the pending {subject} earlier releases: once applied, release {current} cannot be put back by "
        "itself if the new one fails; a dump of the database is made first. "
        "If that is meant, run again with: --data irreversible=1. Nothing was changed."
    )
