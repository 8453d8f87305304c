"""Restore a database beside the live one, put it in its place, and remove what was kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api import FunctionCommand, OperationError, StringCommand, operation

from facts.postgres import cluster as at
from facts.restore import KeptDatabases
from operations import upload
from operations.postgres.sqltext import NAME_BYTES, check_cluster, check_name, identifier
from operations.told import told

WHERE = "restore"
STAMP = re.compile(r"[0-9]{8}t[0-9]{6}z")
KEPT = re.compile(r"(?P<live>.+)_(replaced|restore)_[0-9]{8}t[0-9]{6}z")


def names(database: str, stamp: str) -> tuple[str, str]:
    """
    Return what the fresh database is called until it takes over, and the live one from then on.

    + database: the live one
    + stamp: lower case, such as "20261125t220000z", so that nobody has to quote the name

    Raises OperationError where PostgreSQL would cut a name short.
    """
    check_name(WHERE, "database", database)
    if not STAMP.fullmatch(stamp):
        raise OperationError(f"{WHERE}: stamp {stamp!r} is none; write it like 20261125t220000z")
    fresh, replaced = f"{database}_restore_{stamp}", f"{database}_replaced_{stamp}"
    if len(replaced.encode()) > NAME_BYTES:
        raise OperationError(
            f"{WHERE}: database {database!r} has too long a name to be kept as {replaced!r}; "
            f"PostgreSQL's names have at most {NAME_BYTES} bytes"
        )
    return fresh, replaced


@cache
def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content; read once, it may be large."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


@operation(is_idempotent=False)
def brought(
    app: str, *, path: str, cluster: str | None = None
) -> Generator[StringCommand | FunctionCommand, None, None]:
    """
    Send a dump from this machine, going on from where an earlier run was cut off, and check all of it there.

    Not idempotent: what is sent is checked each time. Touches nothing but the directory that it arrives in.

    + app: name of the app, for messages and for the directory
    + path: file on this machine: plain SQL, also gzipped, custom format, or a tar of the directory format
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError for a bad cluster.

    Example: `restore.brought("shop", path="/home/me/shop.dump")`
    """
    check_cluster(WHERE, cluster)
    sha256 = digest(Path(path))
    yield upload.archive(path, place(app), sha256)
    spec = {"app": app, "upload": upload.place(place(app), sha256), "sha256": sha256}
    yield told(at.program("restore-unpack.py", json.dumps(spec), need=at.UP, cluster=cluster))


def place(app: str) -> str:
    """Return under which name dumps for an app arrive on the host."""
    return f"{app}-restore"


@operation(is_idempotent=False)
def loaded(
    app: str,
    *,
    database: str,
    stamp: str,
    role: str,
    source: dict[str, str],
    snapshot: Callable[[], str] | str,
    stop: Sequence[str],
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Fill a fresh database that is as the live one is, analyze it, and compare its rows with the backup's.

    Not idempotent: each run makes a database of its own. The live one is not touched; the undo of this run's
    trial drops what was not finished.

    + app: name of the app, for messages
    + database: the live one
    + stamp: as for `names`
    + role: who is to own what comes from elsewhere
    + source: {"path": directory of a backup on the host}, {"upload": what `brought` has sent}, {} for nothing
    + snapshot: directory of this run's snapshot on the host, or what returns it
    + stop: the program of `files/host/` that stops the app, with its arguments
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError for names that PostgreSQL would not keep.

    Example: see tasks/restore.py
    """
    check_cluster(WHERE, cluster)
    fresh, replaced = names(database, stamp)
    spec = {
        "app": app, "database": database, "fresh": fresh, "replaced": replaced, "role": role,
        "cluster": cluster, "stop": list(stop), "source": source,
        "snapshot": snapshot() if callable(snapshot) else snapshot,
    }  # fmt: skip
    yield told(at.program("restore-load.py", json.dumps(spec), need=at.UP, cluster=cluster))


@operation(is_idempotent=False)
def switched(
    app: str,
    *,
    database: str,
    role: str,
    snapshot: Callable[[], str] | str,
    update: Sequence[str],
    condition: str | None = None,
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Stop the app, rename the live database and the fresh one in one transaction, and start the app.

    Not idempotent: it is one step of a run, after `loaded`. Undone by the run's trial.

    + app: name of the app, for messages
    + database: the live one
    + role: as whom `condition` is asked
    + snapshot: directory of this run's snapshot on the host, or what returns it
    + update: the program of `files/host/` that starts what is down, with its arguments
    + condition: SQL that must be true once the app has stopped, default none
    + cluster: "VERSION/NAME", default the host's only one

    Example: see tasks/restore.py
    """
    check_cluster(WHERE, cluster)
    spec: dict[str, Any] = {
        "app": app, "database": database, "role": role, "update": list(update), "condition": condition,
        "snapshot": snapshot() if callable(snapshot) else snapshot,
    }  # fmt: skip
    yield told(at.program("restore-switch.py", json.dumps(spec), need=at.UP, cluster=cluster))


@operation()
def pruned(database: str, *, live: str, cluster: str | None = None) -> Generator[StringCommand, None, None]:
    """
    Drop a database that a restore or a wipe has kept.

    + database: its dated name
    + live: the database that it was, or was to become
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError for a name that no restore of `live` has given.

    Example: `restore.pruned("shop_replaced_20261125t220000z", live="shop")`
    """
    check_cluster(WHERE, cluster)
    match = KEPT.fullmatch(database)
    there = [one["database"] for one in host.get_fact(KeptDatabases, cluster=cluster)]
    mine = [name for name in there if name.startswith((f"{live}_replaced_", f"{live}_restore_"))]
    if match is None or match["live"] != live:
        offer = ", ".join(mine) or "none"
        raise OperationError(
            f"{WHERE}: {database!r} is none that a restore of {live} has kept; there are: {offer}"
        )
    if database not in there:
        host.noop(f"database {database} is already gone")
        return
    yield at.sql(f"DROP DATABASE {identifier(database)};\n", cluster=cluster)


@operation(is_idempotent=False)
def tidied(app: str) -> Generator[StringCommand, None, None]:
    """
    Remove a dump that was sent, once it is in place.

    Not idempotent: it does not look whether one is there.

    + app: name of the app

    Example: `restore.tidied("shop")`
    """
    yield StringCommand("rm", "-rf", "--", f"{upload.UPLOADS}/{place(app)}")
