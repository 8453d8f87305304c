"""The guard of configuration files: what of each app is watched, and the acceptance of what a run made."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from pyinfra import state
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

from facts.config_guard import ConfigChanges
from operations import config_guard, pgbouncer
from settings import Settings
from settings.app import App
from tasks.history import when
from tasks.origin import comes_from

UNITS = "/etc/systemd/system"
NONE, SOME = 0, 2
SHOWN = 100


@comes_from("config_guard")
@deploy("Configuration guard")
def watch(settings: Settings) -> None:
    """A service that records who changes an app's configuration; or none."""
    if not settings.config_guard:
        config_guard.absent(name="Watch no configuration")
        return
    config_guard.watching(
        name="Watch the configuration of all apps", watches=[declared(app) for app in settings.all_apps()]
    )


@comes_from("config_guard")
@deploy("Configuration accepted")
def accept(settings: Settings) -> None:
    """What is there now is what is meant, from here on."""
    if settings.config_guard:
        config_guard.accepted(name="Accept the configuration as it is now")


def declared(app: App) -> config_guard.Watch:
    """Return what of an app is watched, as the operation takes it."""
    units = [*app.units, *([pgbouncer.unit_of(app.key)] if app.pool is not None else [])]
    files = [place for unit in units for place in unit_files(unit)]
    made_once = [f"{app.config_root}/{path}" for path in app.config_files]
    return config_guard.Watch(
        app=app.key,
        trees=[app.config_root, *app.watched_paths],
        files=files,
        shown=[
            *made_once,
            *([app.supervisor_config] if app.supervised else []),
            *([f"{app.config_root}/pgbouncer.ini"] if app.pool is not None else []),
            *(place for place in files if "*" not in place),
        ],
        kept=[*made_once, app.secrets_root, *app.watched_paths],
    )


def unit_files(unit: str) -> list[str]:
    """Return the places that decide what a unit is, and whether a boot starts it."""
    drop_ins = f"{UNITS}/{unit}.d"
    return [f"{UNITS}/{unit}", drop_ins, f"{drop_ins}/*", f"{UNITS}/multi-user.target.wants/{unit}"]


_found: dict[str, dict[str, Any]] = {}


def show(host: Host, settings: Settings, *, as_json: bool) -> None:
    """
    Ask one host what was changed; with the last host, tell it and exit.

    + host: pyinfra's host
    + settings: of it
    + as_json: for programs, and not for people
    """
    asked = host.get_fact(ConfigChanges) if settings.config_guard else {"off": True}
    _found[host.name] = {**asked, "wanted": settings.config_guard}
    if not all(one.name in _found for one in state.inventory.get_active_hosts()):
        return
    code = SOME if any(problems(one) for one in _found.values()) else NONE
    if as_json:
        click.echo(json.dumps({"exit": code, "hosts": _found}, indent=1))
    else:
        everything = bool(host.data.get("all"))
        for name, one in _found.items():
            said = lines(one, everything=everything)
            click.echo("\n".join([click.style(name, bold=True), *(f"  {line}" for line in said), ""]))
    # pyinfra would go on, and ask whether to run what was only looked at. This ends its main greenlet too.
    sys.exit(code)


def problems(found: dict[str, Any]) -> bool:
    """Return whether anything differs, was changed, or is not watched."""
    if not found["wanted"]:
        return False
    return not found.get("runs") or bool(found["differs"] or found["changes"])


def lines(found: dict[str, Any], *, everything: bool = False) -> list[str]:
    """Return one host's lines for people."""
    if not found["wanted"]:
        return ["not watched: config_guard is False"]
    if not found.get("installed"):
        return ["not watched yet; run deploy.py"]
    said = []
    if not found["runs"]:
        said.append("THE GUARD DOES NOT RUN; see journalctl -u hostwright-config-guard, then run deploy.py")
    if found["problem"]:
        said.append(f"who changes a file cannot be told on this host: {found['problem']}")
    if found["accepted"] is None:
        return [*said, "nothing was accepted yet; run deploy.py"]
    if not problems(found):
        said.append(f"as it was accepted {when(found['accepted'])} UTC; nobody has changed anything since")
    told = {one["path"] for one in found["changes"]}
    for one in found["changes"][-SHOWN:]:
        said += change(one)
    for path, about in found["differs"].items():
        said += differing(path, about, told=path in told)
    if everything:
        said.append("all that is recorded, oldest first:")
        said += [f"  {one['path']}: {did(one)} {one['told']}{of_run(one)}" for one in found["all"]]
    return said


def did(one: dict[str, Any]) -> str:
    return ", ".join([*one["did"], *(f"({word})" for word in one["changed"])]) or "changed"


def of_run(one: dict[str, Any]) -> str:
    return f", run {one['run']}" if "run" in one else ""


def change(one: dict[str, Any]) -> list[str]:
    """Return the lines of one change."""
    return [one["path"], f"  {did(one)}", f"  {one['told']}", *(f"    {line}" for line in one["difference"])]


def differing(path: str, about: dict[str, Any], *, told: bool) -> list[str]:
    """Return the lines of one file that is not as it was accepted, with the remedy."""
    said = [f"{path} is not as it was accepted: {', '.join(about['changed'])}"]
    said += [] if told else [f"    {line}" for line in about["difference"]]
    if about["put_back"]:
        return [*said, "  deploy.py puts it back; where it was meant, declare it in group_data/ first"]
    return [
        *said,
        "  no run writes it again: put it back by hand, or run deploy.py, which accepts it as it is",
    ]
