"""Backups of an app's database: scheduled on the host, made and proven when asked for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host, logger
from pyinfra.api import FunctionCommand, OperationError, StringCommand, operation
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS

from facts.backups import Scheduled, ScheduledFields
from facts.script import script, text
from operations.differences import differs
from operations.postgres.sqltext import check_cluster, check_name
from operations.supervisor_text import render
from operations.systemd_text import name, path
from operations.told import told

PROGRAM = "/usr/local/lib/hostwright/backup/backup.py"
CONFIGS = "/etc/hostwright/backup"
UNITS = "/etc/systemd/system"
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DAY = re.compile(r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):[0-5][0-9]")
WORDS = {"make": ("backup", "Back up the database of"), "prove": ("prove", "Prove the newest backup of")}


@dataclass(frozen=True)
class Backup:
    """
    How one app's database is backed up.

    + app: name of the app; the units are hostwright-backup-<app> and hostwright-prove-<app>
    + database: what is backed up
    + app_root: the app's directory, for the name of its current release
    + root: where the backups are, default /var/backups/<app>
    + cluster: "VERSION/NAME", default the host's only one
    + at: time of the daily backup, "HH:MM" in the host's time zone, default "03:30"
    + prove: day and time of the weekly proof, or time of a daily one, default "Sun 04:30"; None for no timer
    + daily, weekly, monthly: how many are kept, default 7, 4 and 3
    + checks: SQL that must give true in the restored database, default none
    + age_recipients: public keys, default none
    + copy: "kind" ("rsync" or "rclone"), "to" and, or None, "ssh_key" and "config"; default none
    """

    app: str
    database: str
    app_root: str
    root: str | None = None
    cluster: str | None = None
    at: str = "03:30"
    prove: str | None = "Sun 04:30"
    daily: int = 7
    weekly: int = 4
    monthly: int = 3
    checks: Sequence[str] = ()
    age_recipients: Sequence[str] = ()
    copy: Mapping[str, str | None] | None = field(default=None)


def unit(app: str, verb: str, kind: str = "service") -> str:
    """Return the name of a unit: `verb` is "make" or "prove", `kind` "service" or "timer"."""
    return f"hostwright-{WORDS[verb][0]}-{name(app, 'app')}.{kind}"


def declaration(one: Backup) -> str:
    """Return what the program on the host reads: /etc/hostwright/backup/<app>.json."""
    return (
        json.dumps(
            {
                "app": one.app, "database": one.database, "cluster": one.cluster,
                "root": one.root or f"/var/backups/{one.app}", "app_root": one.app_root,
                "keep": {"daily": one.daily, "weekly": one.weekly, "monthly": one.monthly},
                "checks": list(one.checks), "age_recipients": list(one.age_recipients),
                "copy": None if one.copy is None else dict(one.copy),
                "at": one.at, "prove": one.prove,
            },
            indent=1,
        )
        + "\n"
    )  # fmt: skip


def files(backups: Sequence[Backup]) -> dict[str, tuple[str, str]]:
    """Return path to text and mode of everything that schedules these backups; empty for none."""
    found: dict[str, tuple[str, str]] = {}
    for one in backups:
        _check(one)
        found[f"{CONFIGS}/{one.app}.json"] = (declaration(one), "0600")
        for verb, (_, words) in WORDS.items():
            about = {"app": one.app, "verb": verb, "program": PROGRAM, "description": f"{words} {one.app}"}
            found[f"{UNITS}/{unit(one.app, verb)}"] = (render("backup.service.j2", **about), "0644")
            calendar = one.at if verb == "make" else one.prove
            if calendar is not None:
                body = render("backup.timer.j2", calendar=on_calendar(calendar), **about)
                found[f"{UNITS}/{unit(one.app, verb, 'timer')}"] = (body, "0644")
    if backups:
        found[PROGRAM] = (text("backup.py"), "0755")
    return found


def on_calendar(when: str) -> str:
    """Return "Sun 04:30" or "03:30" as systemd writes it."""
    day, _, at = when.rpartition(" ")
    return f"{day} *-*-* {at}:00".strip()


def _check(one: Backup) -> None:
    name(one.app, "app")
    path(one.app_root, "app_root")
    if one.root is not None:
        path(one.root, "root")
    check_name("backups", "database", one.database)
    check_cluster("backups", one.cluster)
    if TIME.fullmatch(one.at) is None:
        raise OperationError(f"backups: at is {one.at!r}; write a time, such as '03:30'")
    if one.prove is not None and DAY.fullmatch(one.prove) is None:
        raise OperationError(f"backups: prove is {one.prove!r}; write it like 'Sun 04:30'")
    if one.copy is not None and not one.age_recipients:
        raise OperationError(
            f"backups: the copies of {one.app} leave the host and have no age_recipients; name a public key"
        )


@dataclass(frozen=True)
class Difference:
    """What has to be written, which timers started, and what has to go; all empty where nothing differs."""

    write: dict[str, tuple[str, str]]
    timers: list[str]
    gone: list[str]


def difference(wanted: Mapping[str, tuple[str, str]], now: ScheduledFields) -> Difference:
    """Compare what is declared with what the host has."""

    def differs(place: str) -> bool:
        body, mode = wanted[place]
        about = {"sha256": hashlib.sha256(body.encode()).hexdigest(), "mode": mode, "owner": "0:0"}
        return now["files"].get(place) != about

    write = {place: wanted[place] for place in sorted(wanted) if differs(place)}
    declared = [place.rpartition("/")[2] for place in sorted(wanted) if place.endswith(".timer")]
    timers = [one for one in declared if f"{UNITS}/{one}" in write or not now["timers"].get(one, False)]
    return Difference(write, timers, sorted(set(now["files"]) - set(wanted)))


@operation()
def scheduled(backups: list[Backup]) -> Generator[StringCommand, None, None]:
    """
    Have exactly these backups be made and proven by timers of the host, and no others.

    A host that was off at the time makes up for it. The program is a file of the host's own, so that nothing
    of a deploy has to be there at night. What was scheduled for an app that is not among these is removed;
    its backups stay in /var/backups.

    + backups: one for each app, in any order

    Does not make a backup: `first` and `made` do.

    Raises OperationError for a time, name or path that is not usable, and for copies that nobody encrypts.

    Example: `backups.scheduled(backups=[Backup("shop", database="shop", app_root="/opt/shop")])`
    """
    wanted = files(backups)
    now = host.get_fact(Scheduled)
    found = difference(wanted, now)
    if not (found.write or found.timers or found.gone):
        host.noop(f"the backups of {len(backups)} apps are already scheduled as declared")
        return
    for place in found.write:
        there = now["files"].get(place)
        differs(place, expected="as declared", found="none" if there is None else "another content or mode")
    for timer in found.timers:
        if f"{UNITS}/{timer}" not in found.write:
            differs(timer, expected="active", found="not active")
    for place in found.gone:
        differs(place, expected="none: no app declares it", found="there")
    given = {
        "files": {place: {"text": body, "mode": mode} for place, (body, mode) in found.write.items()},
        "timers": found.timers,
        "gone": [place.rpartition("/")[2] for place in found.gone if place.endswith(".timer")],
        "remove": found.gone,
    }
    yield told(script("backup-schedule.py", "apply", stdin=json.dumps(given)))


@operation()
def first(apps: Sequence[str], *, seconds: int = 15) -> Generator[StringCommand, None, None]:
    """
    Start the first backup of each app that has none, and say how it went, or that it is under way.

    One that fails does not fail the run: what was deployed is sound all the same. It is told, the unit is
    failed, and acceptance and state.json say it until one is made.

    + apps: names of apps that `scheduled` knows
    + seconds: to wait at most, default 15; after that it goes on by itself

    Example: `backups.first(apps=["shop"])`
    """
    there = host.get_fact(Scheduled)["backed_up"]
    missing = [name(app, "app") for app in apps if app not in there]
    if not missing:
        host.noop(f"all {len(apps)} apps have a backup")
        return
    for app in missing:
        differs(f"backups of {app}", expected="one at least", found="none")
    yield told(script("backup-schedule.py", "first", seconds, *missing))


@operation(is_idempotent=False)
def made(app: str, verb: str = "make") -> Generator[StringCommand | FunctionCommand, None, None]:
    """
    Make a backup of one app now, or prove its newest one, and show how far it is.

    Not idempotent: it makes one more. It runs as the unit of the timer does, so that a lost connection does
    not end it, and that of the timer is not started beside it.

    + app: name of an app that `scheduled` knows
    + verb: "make" (default) or "prove"

    Raises OperationError for another verb.

    Example: `backups.made(name="Back up shop", app="shop")`
    """
    if verb not in WORDS:
        raise OperationError(f"backups: {verb!r} is neither 'make' nor 'prove'")
    yield StringCommand("systemctl", "start", "--no-block", "--", unit(app, verb))
    yield FunctionCommand(_follow, [app, verb], {})


def _follow(state: Any, host: Any, app: str, verb: str) -> bool:  # noqa: ARG001
    """Show how far the unit is until it has ended; False where it failed."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    arguments: Any = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    while True:
        done, output = host.run_shell_command(
            StringCommand("python3", "-I", PROGRAM, "wait", app, verb, "3"), **arguments
        )
        if not done:
            logger.error(f"{host.print_prefix}{output.stderr or output.stdout}")
            return False
        found = json.loads(output.stdout)
        for line in found["said"]:
            (logger.info if found["ok"] else logger.error)(f"{host.print_prefix}{line}")
        if not found["running"]:
            return bool(found["ok"])
        if found["progress"]:
            written, whole = (found["progress"][key] / 2**20 for key in ("bytes", "of"))
            logger.info(
                f"{host.print_prefix}{app}: {written:.0f} MiB written, {whole:.0f} MiB or less expected"
            )
