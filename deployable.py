"""Whether what is declared for the hosts of an inventory can be deployed; all that is wrong, told at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pyinfra.api import Host
from pyinfra.api.exceptions import PyinfraError

import app_source
from env_example import reads
from lint import gate
from settings import Settings
from settings.app import App
from settings.groups import apps_declared
from settings.load import OVERRIDES, once
from settings.secret_values import given
from tasks import monitoring, plan, recovery

PROJECT = Path(__file__).resolve().parent


class GuardError(PyinfraError):
    """Raised when a run must not begin; pyinfra shows the text and exits with 1."""


def check(inventory: str, chosen: list[Host], *, code: bool) -> None:
    """
    Check each host's settings, secrets and local files.

    + inventory: as given on the command line
    + chosen: the hosts of this run
    + code: whether the code of the apps and secrets that are given are about to be used

    Raises GuardError or SettingsError.
    """
    findings: list[str] = []
    looked_at: set[int] = set()
    for host in chosen:
        settings = settings_of(host, inventory)
        expected = Path(inventory).stem
        if inventory.endswith(".py") and settings.environment != expected:
            raise GuardError(
                f"environment is {settings.environment!r} but the inventory is {inventory}; "
                f"set environment = {expected!r} in group_data/{expected}.py"
            )
        findings += _login_findings(host, settings)
        if id(settings) in looked_at:
            continue  # what follows is of the settings, and another host has the same
        looked_at.add(id(settings))
        if code:
            recovery.given(settings, PROJECT)
            monitoring.given(settings, PROJECT)
        for app in settings.all_apps() if code else ():
            found = app_source.findings(app, PROJECT)
            findings += found
            given(app, PROJECT)
            if not found:
                # Made here already, so that what supervisor or the archive cannot carry is found here.
                made = release_plan(app, settings)
                findings += plan.findings(app, made)
                source = app_source.directory(app, PROJECT)
                findings += gate.findings(app.key, source, made.archive)
                findings += reads.findings(app, source, made.archive)
    if findings:
        lines = "\n".join(f"  - {finding}" for finding in dict.fromkeys(findings))
        raise GuardError(f"{inventory}: this cannot be deployed as it is; no host was touched\n{lines}")


def _login_findings(host: Host, settings: Settings) -> list[str]:
    port, user = int(host.data.get("ssh_port") or 22), host.data.get("ssh_user") or "root"
    found = []
    if settings.monitoring is not None and host.name in settings.monitoring.targets:
        found.append(f"monitoring.targets.{host.name}: is this host, which it asks anyway; remove it")
    for app in settings.all_apps():
        if app.service_user == user:
            found.append(
                f"apps.{app.key}.user: {user!r} is the login of host {host.name}; give the app its own"
            )
        found += [
            f"apps.{app.key}.services.{label}.port: port {port} is SSH's on host {host.name}; choose another"
            for label, service in app.services.items()
            if service.port == port
        ]
    return found


def release_plan(app: App, settings: Settings) -> plan.Plan:
    """Return what an app's release is made of; made once, it is the same for every host."""
    return plan.once(app, settings, PROJECT)


def settings_of(host: Host, inventory: str) -> Settings:
    """
    Return one host's settings.

    + host: of this run
    + inventory: as given on the command line; "" where nobody says

    Raises SettingsError with everything that is wrong with them, GuardError without group_data.
    """
    data = host.data.dict()
    if "environment" not in data:
        name = Path(inventory).stem or "NAME"
        raise GuardError(
            f"host {host.name}: no 'environment' is set: group_data/{name}.py was not found; "
            f"make it, with the line: environment = {name!r}"
        )
    where = f"{inventory or 'settings'}, host {host.name}"
    overridden = data.get(OVERRIDES)
    # To know them, all files of group_data/ are run.
    others = apps_declared(PROJECT) if isinstance(overridden, Mapping) and "apps" in overridden else ()
    return once(data, where, elsewhere=others)
