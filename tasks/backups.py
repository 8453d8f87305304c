"""Backups of each app's database: scheduled with every deploy, made and proven by backup.py."""

from __future__ import annotations

import time
from typing import Any

import click
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from facts.backups import Backups
from operations import backups
from settings import Settings
from settings.app import App
from tasks.origin import comes_from


def packages(settings: Settings) -> list[str]:
    """Return the Debian packages that the declared copies need."""
    copies = [app.backed_up.copy_ for app in settings.all_apps() if app.backed_up is not None]
    kinds = {one.kind for one in copies if one is not None}
    return sorted({*kinds, *(["age"] if kinds else [])})


@comes_from("apps.*.backup")
@deploy("Backups")
def schedule(settings: Settings) -> None:
    """The program, and for each app what is declared and its timers."""
    mine = [
        declared(app, settings.postgresql.cluster) for app in settings.all_apps() if app.backed_up is not None
    ]
    backups.scheduled(name="Schedule the backups, and their proof", backups=mine)


@comes_from("apps.*.backup")
@deploy("First backup")
def first(settings: Settings) -> None:
    """A backup of each app that has none: after the confirmation, since what is undone needs none."""
    apps = [app.key for app in settings.all_apps() if app.backed_up is not None]
    if apps:
        backups.first(name="Make the first backup where there is none", apps=apps)


@deploy("Backup")
def now(app: App, *, verb: str) -> None:
    """
    Make a backup of one app, or prove its newest.

    + app: its settings; one without backups is left alone
    + verb: "make" or "prove"
    """
    if app.backed_up is not None:
        what = "Back up the database" if verb == "make" else "Prove the newest backup"
        backups.made(name=f"{what} of {app.key}", app=app.key, verb=verb)


def declared(app: App, cluster: str | None) -> backups.Backup:
    """Return how an app is backed up, as the operation takes it."""
    mine = app.backed_up
    if mine is None or app.database is None:
        raise ValueError(f"{app.key} has no backups")
    return backups.Backup(
        app=app.key,
        database=app.database.database,
        app_root=app.root,
        cluster=cluster,
        at=mine.at,
        prove=mine.prove,
        daily=mine.daily,
        weekly=mine.weekly,
        monthly=mine.monthly,
        checks=mine.checks,
        age_recipients=mine.age_recipients,
        copy=None if mine.copy_ is None else mine.copy_.model_dump(),
    )


def files(app: App) -> list[str]:
    """Return every file that schedules an app's backups, whether it has any or not: an undo restores them."""
    found = [f"{backups.CONFIGS}/{app.key}.json"]
    for verb in backups.WORDS:
        timer = backups.unit(app.key, verb, "timer")
        found += [f"{backups.UNITS}/{one}" for one in (backups.unit(app.key, verb), timer)]
        found.append(f"{backups.UNITS}/timers.target.wants/{timer}")
    return found


def timers(app: App) -> list[str]:
    """Return the timers of an app's backups."""
    return [backups.unit(app.key, verb, "timer") for verb in backups.WORDS]


def timers_on(app: App) -> list[str]:
    """Return those of them that run."""
    mine = app.backed_up
    wanted = {} if mine is None else {"make": mine.at, "prove": mine.prove}
    return [backups.unit(app.key, verb, "timer") for verb, when in wanted.items() if when is not None]


def show(host: Host, settings: Settings) -> None:
    """Print the backups of a host's apps: how old, how large, and which is proven."""
    lines = []
    for app in settings.all_apps():
        if app.backed_up is not None:
            found = host.get_fact(Backups, app=app.key)
            lines += (
                overview(app.key, found) if found else [f"{app.key}: nothing is scheduled yet; run deploy.py"]
            )
    click.echo("\n".join([click.style(host.name, bold=True), *(f"  {line}" for line in lines), ""]))


def overview(app: str, found: dict[str, Any]) -> list[str]:
    """Return the lines of one app's backups, newest last."""
    state, now = found["state"], found["now"]
    proof, proven, copied = (state.get(key) or {} for key in ("proof", "proven", "copied"))
    lines = [f"{app}: {len(found['backups'])} backups (UTC):"]
    for one in found["backups"]:
        words = [
            one["stamp"], f"{age(now - one['made']):>8} old", f"{one['bytes'] / 2**20:9.1f} MiB",
            f"{one['seconds']:6.1f} s", f"{one['rows']} rows in {one['tables']} tables",
            f"release {one['release']}",
        ]  # fmt: skip
        if proven.get("stamp") == one["stamp"]:
            words.append(f"proven {day(proven['at'])}")
        if copied.get("stamp") == one["stamp"] and copied["ok"]:
            words.append("copied")
        lines.append("  " + "  ".join(words))
    for what, about in (
        ("last backup", state.get("last_attempt")),
        ("last proof", proof),
        ("last copy", copied),
    ):
        if about and not about["ok"]:
            lines.append(f"  THE {what.upper()} FAILED {day(about['at'])}: {about['why']}")
    if not proof:
        lines.append("  none is proven yet: backup.py --data prove=1")
    return lines


def age(seconds: float) -> str:
    """Return an age for people."""
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // 1440} days"


def day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
