"""Stop a run that cannot be right before any host is touched, with the value and the remedy, and exit 1."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from gevent.hub import Hub
from pyinfra.api import Config, Host, Inventory
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_state

import app_source
import connectors
import interrupts
import overhead
from env_example import reads
from lint import gate
from settings import Settings, load
from settings.app import App
from settings.groups import apps_declared
from settings.secret_values import given
from tasks import monitoring, plan, proven, recovery

PROJECT = Path(__file__).resolve().parent
# Verbs that work with what is on the hosts: at night they must not ask for code or a secret.
WITHOUT_CODE = {
    "backup.py", "config_changes.py", "diagnose.py", "drill.py", "history.py", "init.py", "queries.py",
    "recover.py", "restore.py", "rollback.py", "wipe.py",
}  # fmt: skip
# Files of group_data/ that every host, or every host of one inventory, gets without asking.
RESERVED_GROUPS = {"all", *(path.stem for path in (PROJECT / "inventories").glob("*.py"))}
# "fast" or "plain", for one run; the setting `connector` of group_data/ otherwise.
CONNECTOR_VARIABLE = "HOSTWRIGHT_CONNECTOR"
# Those that change nothing, and must end without a question.
ASKING = {"drift.py", "diagnose.py"}
# The one that an environment may ask a receipt for.
DEPLOY = "deploy.py"
_installed = False
_verb = ""
_as_json = False
_proofs: dict[str, dict[str, str]] = {}


class GuardError(PyinfraError):
    """Raised when a run must not begin; pyinfra shows the text and exits with 1."""


def install() -> None:
    """
    Check the command line now, and the inventory and all settings as soon as pyinfra has loaded them.

    Called from config.py, the one file that pyinfra runs before it reads the inventory. pyinfra has no
    hook between loading an inventory and connecting to its hosts, and runs no deploy file at all when
    there are none; so the one method that it calls there, `state.init`, is wrapped for this run.

    Raises GuardError for what is wrong with the command line.
    """
    global _installed, _verb, _as_json
    _installed = True
    # pyinfra says what went wrong; gevent would print a traceback above it.
    Hub.NOT_ERROR = (*Hub.NOT_ERROR, PyinfraError)
    context = click.get_current_context(silent=True)
    parameters = context.params if context is not None else {}
    _verb = " ".join(Path(str(word)).name for word in parameters.get("operations") or ())
    _as_json = bool(parameters.get("json_output"))
    if context is not None:
        interrupts.install()
    _check_command_line(parameters)
    state = ctx_state.get()
    original = state.init
    if _verb in ASKING:
        state.check_for_changes = False

    def init(inventory: Inventory, config: Config, initial_limit: list[Host] | None = None) -> None:
        hosts = list(inventory) if initial_limit is None else initial_limit
        check_inventory(str(parameters.get("inventory", "")), hosts, _runs_a_verb(parameters))
        if DEPLOY in _verb.split() and not parameters.get("dry"):
            _check_proofs(str(parameters.get("inventory", "")), hosts)
        _choose_connectors(hosts, parameters)
        if _verb in ASKING:
            # A host that cannot be reached is told of beside what the others say.
            state.should_raise_failed_hosts = lambda _: False
        original(inventory, config, initial_limit)

    state.init = init


def _choose_connectors(hosts: list[Host], parameters: dict[str, Any]) -> None:
    inventory, given = str(parameters.get("inventory", "")), os.environ.get(CONNECTOR_VARIABLE)
    if given not in (None, "", "fast", "plain"):
        raise GuardError(f"{CONNECTOR_VARIABLE} is {given!r}; write 'fast' or 'plain', or unset it")
    declared = _runs_a_verb(parameters)
    fast = [
        host
        for host in hosts
        if (given or (settings_of(host, inventory).connector if declared else "fast")) == "fast"
    ]
    if fast:
        overhead.imported()
    else:
        overhead.remove()
    # A run that asks before it changes anything, or changes nothing, asks its facts in another order.
    connectors.install(fast, inventory, _verb, *(flag for flag in ("yes", "dry") if parameters.get(flag)))


def verb() -> str:
    """Return what this run was asked to do, such as "deploy.py"."""
    return _verb


def as_json() -> bool:
    """Return whether this run was asked for JSON."""
    return _as_json


def _reads_code() -> bool:
    return not _verb or not {*_verb.split()} <= WITHOUT_CODE


def _runs_a_verb(parameters: dict[str, Any]) -> bool:
    return all(str(word).endswith(".py") for word in parameters.get("operations", ()))


def _check_command_line(parameters: dict[str, Any]) -> None:
    inventory = str(parameters.get("inventory", ""))
    names_a_file = ("/" in inventory or inventory.endswith(".py")) and "@" not in inventory
    if names_a_file and not Path(inventory).is_file():
        known = sorted(f"inventories/{path.name}" for path in (PROJECT / "inventories").glob("*.py"))
        close = difflib.get_close_matches(inventory, known, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
        raise GuardError(f"inventory {inventory!r} does not exist; {meant}")
    if parameters.get("no_wait"):
        raise GuardError("--no-wait goes on past failed steps and then exits 0; run without it")


def hosts(found: Iterable[Any], *, remedy: str) -> list[Any]:
    """
    Return an inventory's hosts, or stop with what to do when there are none.

    + found: host names, or tuples of name and data
    + remedy: how to get a host, in one sentence

    Raises GuardError when there is no host, or when pyinfra was not started in the project.

    Example: `hosts = guard.hosts(lab.inventory_hosts(), remedy="Start one: python -m lab up demo")`
    """
    _check_started_here()
    result = list(found)
    if not result:
        raise GuardError(f"the inventory has no hosts. {remedy}")
    return result


def groups(found: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """
    Return an inventory's groups, or stop where one has no data: its hosts would get what is in all.py.

    + found: group to names of its hosts

    Raises GuardError.

    Example: `globals().update(guard.groups(lab.inventory_groups()))`
    """
    for group, members in found.items():
        if not (PROJECT / "group_data" / f"{group}.py").is_file() or group in RESERVED_GROUPS:
            known = {path.stem for path in (PROJECT / "group_data").glob("*.py")} - RESERVED_GROUPS
            raise GuardError(
                f"group {group!r} of host {members[0]} has no file group_data/{group}.py; "
                f"there are: {', '.join(sorted(known))}"
            )
    return dict(found)


def _check_started_here() -> None:
    # Elsewhere pyinfra finds neither config.py nor group_data/, and says nothing about it. Under pytest and
    # in other programs there is no pyinfra command line, and nothing to check.
    started_by_pyinfra = click.get_current_context(silent=True) is not None
    if started_by_pyinfra and not _installed:
        raise GuardError(
            f"pyinfra was started in {Path.cwd()}, where it cannot see group_data/; "
            f"run it in the project: cd {PROJECT}"
        )


def check_inventory(inventory: str, chosen: list[Host], validate: bool = True) -> None:
    """
    Check that there are hosts, and each host's settings, secrets and local files.

    + inventory: as given on the command line
    + chosen: the hosts of this run
    + validate: whether the data is about to be used, default True

    Raises GuardError or SettingsError.
    """
    if not chosen:
        raise GuardError(
            f"inventory {inventory!r} has no hosts, or --limit and --exclude leave none; nothing was done"
        )
    if not validate:
        return
    findings: list[str] = []
    for host in chosen:
        settings = settings_of(host, inventory)
        expected = Path(inventory).stem
        if inventory.endswith(".py") and settings.environment != expected:
            raise GuardError(
                f"environment is {settings.environment!r} but the inventory is {inventory}; "
                f"set environment = {expected!r} in group_data/{expected}.py"
            )
        findings += _login_findings(host, settings)
        if _reads_code():
            recovery.given(settings, PROJECT)
            monitoring.given(settings, PROJECT)
        for app in settings.all_apps() if _reads_code() else ():
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


def _check_proofs(inventory: str, chosen: list[Host]) -> None:
    """Note what allows this deploy on each host, or stop where nothing does."""
    findings = []
    for host in chosen:
        settings = settings_of(host, inventory)
        made = {app.key: release_plan(app, settings) for app in settings.all_apps()}
        try:
            _proofs[host.name] = proven.by_receipt(host, settings, made, project=PROJECT)
        except proven.UnprovenError as error:
            findings.append(f"{host.name}: {error}")
    if findings:
        lines = "\n".join(f"  - {finding}" for finding in findings)
        raise GuardError(
            f"{inventory}: this was not proven where it must be; no host was touched\n{lines}\n"
            "In an emergency: --data without_receipt=REASON, which the ledger keeps."
        )


def proof_of(host: Host) -> dict[str, str]:
    """Return what allows this deploy on a host, for the ledger; empty where nothing was asked for."""
    return _proofs.get(host.name, {})


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
    return plan.of(app, PROJECT, database_port=settings.postgresql.port)


def some_app(what: str, hosts: Iterable[Settings]) -> None:
    """
    Stop where no app of a run declares what the run is for.

    + what: the setting, such as "drill"
    + hosts: settings of each host

    Raises GuardError.
    """
    if not any(getattr(app, what) for settings in hosts for app in settings.all_apps()):
        raise GuardError(f"no app of these hosts declares {what!r}; nothing was done")


def settings_of(host: Host, inventory: str = "") -> Settings:
    """
    Return one host's settings.

    Raises SettingsError with everything that is wrong with them, GuardError without group_data.
    """
    _check_started_here()
    data = host.data.dict()
    if "environment" not in data:
        name = Path(inventory).stem or "NAME"
        raise GuardError(
            f"host {host.name}: no 'environment' is set: group_data/{name}.py was not found; "
            f"make it, with the line: environment = {name!r}"
        )
    where = f"{inventory or 'settings'}, host {host.name}"
    return load(data, where, elsewhere=apps_declared(PROJECT))
