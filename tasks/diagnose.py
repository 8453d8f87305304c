"""What is asked of a host when it is looked at, from what is declared of it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import click
from pyinfra import logger, state
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from diagnostics import DiagnosticsError, screen, store
from diagnostics.compare import Comparison, compare
from diagnostics.model import Diagnosis, read
from facts import diagnose as facts
from operations import pgbouncer
from operations.trial import commands
from operations.trial.run import HostRun
from settings import Settings
from settings.app import App

SECONDS, LONGEST = 3.0, 300.0
# Of a run that changes something: before, and after.
WATCHED, ANSWER_SECONDS = 2.0, 30


@dataclass
class Report:
    """One host: what was found, the text for people, and what went wrong."""

    found: Diagnosis | None = None
    text: str = ""
    error: str = ""


_reports: dict[str, Report] = {}


def show(host: Host, settings: Settings, *, as_json: bool) -> None:
    """
    Look at a host for `--data sample=SECONDS`, and keep what was found; with the last host, print and exit.

    + as_json: for programs, and not for people
    """
    seconds = sample_seconds(host.data.get("sample"))
    report = Report()
    try:
        said = host.get_fact(facts.Diagnosis, spec=spec(settings, seconds))
        if not said:
            raise DiagnosticsError("it has no Python; deploy.py installs it")
        found = of(said, settings.environment, host.name, run_id(), "diagnose.py")
        before = store.last(settings.environment, host.name)
        report = Report(found, screen.shown(found, before, str(store.save(found))))
    except PyinfraError as error:
        report.error = str(error)
    _reports[host.name] = report
    if all(one.name in _reports for one in state.inventory.get_active_hosts()):
        _end(as_json=as_json)


def _end(*, as_json: bool) -> None:
    reports = {
        host.name: _reports.get(host.name) or Report(error="it could not be reached")
        for host in state.inventory
        if state.is_host_in_limit(host)
    }
    errors = {name: report.error for name, report in reports.items() if report.error}
    if as_json:
        found = {name: one.found.model_dump() for name, one in reports.items() if one.found is not None}
        click.echo(json.dumps({"hosts": found, "errors": errors}, indent=1))
    else:
        click.echo("\n".join(one.text for one in reports.values() if one.text))
        for name, error in errors.items():
            click.echo(f"{name}: {error}")
    # pyinfra would go on, and ask whether to run what was only looked at. This ends its main greenlet too.
    sys.exit(bool(errors))


def look(settings: Settings, run: HostRun, moment: str) -> None:
    """
    Look at a host in the middle of a run; once it is "confirmed", say what is worse than "before".

    Raises DiagnosticsError where it does not answer.
    """
    code, said, wrong = commands.ask(run, facts.command(spec(settings, WATCHED)), ANSWER_SECONDS)
    if code != 0:
        raise DiagnosticsError(wrong or f"its program ended with {code}")
    name, purpose = f"{run.about.id}-{moment}", f"{run.about.purpose}: {moment}"
    found = of(json.loads(said), settings.environment, run.host.name, name, purpose)
    store.save(found)
    before = store.last(settings.environment, run.host.name, found.id)
    if moment == "confirmed" and before is not None and before.id.startswith(run.about.id):
        tell(run.host.print_prefix, compare(before, found))


def tell(prefix: str, found: Comparison) -> None:
    """Say what a run has made worse, and where all of it is."""
    for one in found.findings():
        logger.warning(f"{prefix}worse: {one}")
    logger.info(f"{prefix}compared with before: {found.verdict()}; python -m diagnostics compare shows all")


@cache
def run_id() -> str:
    """Return the id of this run of pyinfra: the same for each host."""
    return store.make_id()


def sample_seconds(given: object) -> float:
    """
    Return how long to sample.

    Raises DiagnosticsError for what is no such time.
    """
    text = str(given if given is not None else SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= LONGEST:
        raise DiagnosticsError(f"sample is {text!r}; write seconds from 1 to {LONGEST:.0f}: --data sample=10")
    return seconds


def of(found: dict[str, Any], environment: str, host: str, made_by: str, purpose: str) -> Diagnosis:
    """
    Return what a host says as a diagnosis.

    Raises DiagnosticsError where it does not say what it should.
    """
    about = {"id": made_by, "environment": environment, "host": host, "purpose": purpose}
    ahead = round(float(found.get("made") or 0.0) - time.time(), 1)
    return read({**found, **about, "ahead": ahead}, f"what {host} says")


def spec(settings: Settings, seconds: float) -> dict[str, Any]:
    """Return what the host's program is told; no secret is part of it."""
    apps = settings.all_apps()
    return {
        "sample": seconds,
        "cluster": settings.postgresql.cluster,
        "databases": [app.database.database for app in apps if app.database is not None],
        "places": ["/opt", "/var/lib/postgresql", "/var/backups", "/var/log"],
        "apps": {app.key: _app(app) for app in apps},
    }


def _app(app: App) -> dict[str, Any]:
    supervised = app.supervised
    return {
        "config": app.supervisor_config if supervised else None,
        "socket": f"/run/{app.key}/supervisor.sock" if supervised else None,
        "units": [*app.units, *([pgbouncer.unit_of(app.key)] if app.pool is not None else [])],
        "root": app.root,
        "logs": app.log_root,
        "backups": app.backup_root if app.backed_up is not None else None,
        "services": {label: None if supervised else app.service_unit(label) for label in app.services},
    }
