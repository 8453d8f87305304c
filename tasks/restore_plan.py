"""What is to take the place of an app's database: checked, shown and asked before anything is touched."""

from __future__ import annotations

import atexit
import calendar
import json
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pyinfra.api.host import Host

from facts.release import Releases
from facts.restore import Check, Checked
from operations import restore, restore_migrations, restore_source, schema, trial, upload
from operations.restore import digest
from settings import Settings
from settings.app import App
from settings.service import DatabaseSettings
from tasks.rollback import chosen

# Rows of a table are only estimated for the question; more tables than these say nothing to anybody.
SHOWN = 12
STAMP = re.compile(r"\d{8}T\d{6}Z")
ENDINGS = (".sql", ".gz", ".dump", ".tar", ".age")


@dataclass(frozen=True)
class Wanted:
    """
    What takes the place of which database.

    + app, database: whose
    + stamp: of the two dated names
    + source: for `operations.restore.loaded`
    + sent: what is sent from this machine first, default nothing
    + condition: what must be true of the live database to the end, default nothing
    """

    app: App
    database: DatabaseSettings
    stamp: str
    cluster: str | None
    source: dict[str, str] = field(default_factory=dict)
    sent: Path | None = None
    condition: str | None = None

    @property
    def fresh(self) -> str:
        return restore.names(self.database.database, self.stamp)[0]


def one(settings: Settings, given: object) -> tuple[App, DatabaseSettings]:
    """Return the app that is meant and its database; refuse one that has none."""
    having = [app for app in settings.all_apps() if app.database is not None]
    if given is None and len(having) == 1:
        given = having[0].key
    app = chosen(settings, given)[0]
    if app.database is None:
        raise trial.TrialError(f"app {app.key!r} has no database; nothing was done")
    return app, app.database


def wanted(host: Host, settings: Settings) -> Wanted:
    """
    Find out what is to be restored, check all of it that can be, show what would be lost, and ask.

    Raises trial.TrialError with the remedy; nothing was touched then.
    """
    app, mine = one(settings, host.data.get("app"))
    given = host.data.get("from")
    local = Path(str(given)).expanduser() if given is not None and _is_path(str(given)) else None
    backup: dict[str, Any] | None = None
    sent: Path | None = None
    if local is not None:
        try:
            key = host.data.get("identity")
            identity = None if key is None else Path(str(key))
            found = restore_source.inspect(local, app=app.key, place=_place(), identity=identity)
        except restore_source.SourceError as problem:
            raise trial.TrialError(f"{problem}; nothing was touched") from None
        backup, sent = found.backup, found.path
    stamp = None if local is not None else given
    checked = _check(host, settings, app, mine, stamp=stamp, made=_made(backup))
    if given is None:
        there = ", ".join(checked["stamps"][-10:]) or "none"
        raise trial.TrialError(
            f"{host.name}: what is it to be? say --data from=STAMP, from=newest, or from=PATH of a dump "
            f"on this machine; backups of {app.key} on the host: {there}"
        )
    backup = checked["backup"] or backup
    if backup is not None:
        _bear(host, app, backup)
    name = str(local) if local is not None else str(checked["path"])
    said = [
        f"{host.name}: database {mine.database} of {app.key} is to be replaced by {name}",
        *_about(backup),
        *_lost(checked, backup),
        "what is replaced is kept under a dated name until it is dropped by hand",
    ]
    ask(host, said)
    source = {"path": str(checked["path"])}
    if sent is not None:
        source = {"upload": upload.place(restore.place(app.key), digest(sent))}
    return Wanted(app, mine, _stamp(), settings.postgresql.cluster, source, sent)


def emptied(host: Host, settings: Settings) -> Wanted:
    """
    Find out whether an app's database may be emptied, show what would go, and ask.

    Raises trial.TrialError where its own condition is not met; nothing was touched then.
    """
    app, mine = one(settings, host.data.get("app"))
    if mine.wipe_when is None:
        raise trial.TrialError(
            f"app {app.key!r} does not say when its data may be emptied; declare database.wipe_when, SQL "
            "that is true then, in group_data"
        )
    checked = _check(host, settings, app, mine, wipe_when=mine.wipe_when)
    if not checked["may_wipe"]:
        raise trial.TrialError(
            f"{host.name}: {app.key} may not be emptied: {mine.wipe_when!r} gave {checked['said']!r}, not "
            "true; make it so, such as by closing what is open, and run again. Nothing was touched"
        )
    rows = {name: count for name, count in checked["rows"].items() if count}
    said = [
        f"{host.name}: database {mine.database} of {app.key} is to be replaced by an empty one",
        *(f"  {name}: about {count} rows" for name, count in list(rows.items())[:SHOWN]),
        "what is replaced is kept under a dated name until it is dropped by hand",
    ]
    ask(host, said)
    return Wanted(app, mine, _stamp(), settings.postgresql.cluster, condition=mine.wipe_when)


def ask(host: Host, said: list[str]) -> None:
    """
    Show what is about to happen and have it confirmed at the terminal, or by `--data yes=1`.

    Raises trial.TrialError where it is not.
    """
    click.echo("\n".join(said), err=True)
    # pyinfra runs this where its own command line cannot be asked any more.
    if str(host.data.get("yes") or "") == "1" or "--dry" in sys.argv:
        return
    if not sys.stdin.isatty():
        raise trial.TrialError(
            f"{host.name}: nobody is there to ask; if that is meant, say --data yes=1. Nothing was touched"
        )
    if input(f"{host.name}: write yes to go on: ").strip() != "yes":
        raise trial.TrialError(f"{host.name}: it was not confirmed; nothing was touched")


def _stamp() -> str:
    return time.strftime("%Y%m%dt%H%M%Sz", time.gmtime())


def _place() -> Path:
    # For as long as this program runs; a dump may be large, so not where memory is.
    made = Path(tempfile.mkdtemp(prefix="hostwright-restore-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _is_path(given: str) -> bool:
    """Return whether something on this machine is meant; a stamp is the host's, whatever is here."""
    if given == "newest" or STAMP.fullmatch(given):
        return False
    return "/" in given or given.endswith(ENDINGS) or Path(given).exists()


def _check(
    host: Host,
    settings: Settings,
    app: App,
    mine: DatabaseSettings,
    *,
    stamp: object = None,
    made: float | None = None,
    wipe_when: str | None = None,
) -> Checked:
    spec = {
        "app": app.key, "database": mine.database, "role": mine.role, "made": made,
        "from": None if stamp is None else str(stamp), "time_columns": mine.time_columns,
        "wipe_when": wipe_when,
    }  # fmt: skip
    found = host.get_fact(Check, spec=json.dumps(spec), cluster=settings.postgresql.cluster)
    if found is None or "problem" in found:
        why = found["problem"] if found else "its database server does not answer"
        raise trial.TrialError(f"{host.name}: {app.key}: {why}. Nothing was touched")
    return found


def _bear(host: Host, app: App, backup: dict[str, Any]) -> None:
    """Refuse a backup that the current release cannot live with."""
    state = host.get_fact(Releases, app_dir=app.root)
    stated = {
        name: one["about"]["schema"] if one["about"] else None for name, one in state["releases"].items()
    }
    given = backup.get("migrations") or []
    had = [str(one["name"] if isinstance(one, dict) else one).removesuffix(".sql") for one in given]
    current = state["current"]
    beyond = schema.can_live_with(stated.get(current or ""), had, schema.breaking(stated.values()))
    if beyond:
        why = restore_migrations.cannot_live(app.key, str(current), beyond)
        raise trial.TrialError(f"{host.name}: {why}. Nothing was touched")


def _made(backup: dict[str, Any] | None) -> float | None:
    """Return when a backup from this machine was made."""
    if backup is None:
        return None
    try:
        return calendar.timegm(time.strptime(str(backup.get("stamp")), "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise trial.TrialError(
            f"its backup.json has the stamp {backup.get('stamp')!r}, which is none; choose another backup"
        ) from None


def _about(backup: dict[str, Any] | None) -> list[str]:
    if backup is None:
        return ["  it says nothing of itself: its rows are shown, and compared with nothing"]
    release = f", of release {backup['release']}" if backup.get("release") else ""
    return [f"  made {backup['stamp']}{release}, with {sum(backup['tables'].values())} rows"]


def _lost(checked: Checked, backup: dict[str, Any] | None) -> list[str]:
    """Return what the live database has that would be lost, as far as it can be told."""
    lines = [f"  would be lost: {one}" for one in checked["newer"]]
    tables = backup["tables"] if backup is not None else {}
    more = [
        f"  {name}: about {rows} rows now" + (f", {tables[name]} in the backup" if name in tables else "")
        for name, rows in checked["rows"].items()
        if backup is None or rows != tables.get(name)
    ]
    return lines + more[:SHOWN] + ([f"  and {len(more) - SHOWN} tables more"] if len(more) > SHOWN else [])
