"""The gates of an app: what it declares, and what follows from the rest that it declares."""

from __future__ import annotations

import json
from typing import Any

from pyinfra import host
from pyinfra.api.deploy import deploy

from operations import gates, trial
from settings.app import App
from settings.gates import (
    AnyGate,
    CommandGate,
    CountGate,
    FileAgeGate,
    HttpGate,
    LogGate,
    RunningGate,
    SqlGate,
    TcpGate,
)

Spec = dict[str, Any]
# The file of a release that holds its spec, so that one that is gone back to is checked by its own gates.
FILE = "gates.json"


def spec(app: App, *, database_port: int = 5432) -> Spec:
    """
    Return what files/host/gates.py reads: all gates of one app, in terms of the host.

    Of itself: every service runs and stays up, `health` and `page_contains` of each, a query by the app's own
    role, and the age of what `produces` names. It says nothing of the release that it is for.

    + app: whose gates
    + database_port: of the server on this host, default 5432
    """
    made: Spec = {
        "app": app.key,
        "user": app.service_user,
        "directory": f"{app.root}/current",
        "env_file": app.env_file,
        "secrets": [app.secrets_root],
        "logs": {label: _log(app, label) for label in app.services},
        "gates": [*_running(app), *_pages(app), *_own(app)],
    }
    if app.database is not None:
        made["database"] = {
            "host": "127.0.0.1",
            "port": database_port,
            "database": app.database.database,
            "role": app.database.role,
            "password_file": f"{app.secrets_root}/{app.database.password}",
        }
        made["gates"].append(_timed(app, {"kind": "sql", "query": "SELECT 1", "returns": "1"}))
    for path, age in app.produces.items():
        # The whole age: what is produced may be due only at the end of it.
        about = {"path": f"{app.shared_root}/{path}", "max_age": age, "json": True}
        made["gates"].append({"kind": "file_age", **about, "seconds": age})
    return made


def some(
    app: App,
    declared: tuple[AnyGate, ...],
    label: str | None,
    *,
    seconds: int,
    database_port: int = 5432,
) -> Spec:
    """
    Return a spec of these gates alone.

    + app: whose
    + declared: the gates
    + label: service that they are asked of
    + seconds: until they must have passed, where they do not say so themselves
    + database_port: of the server on this host, default 5432
    """
    of = {} if label is None else {"service": label}
    made = [{**of, **_declared(app, gate, label), "seconds": gate.seconds or seconds} for gate in declared]
    return {**spec(app, database_port=database_port), "gates": made}


def text(app: App, *, database_port: int = 5432) -> str:
    """Return the spec as the file that each release has; arguments as for `spec`."""
    return json.dumps(spec(app, database_port=database_port), indent=1, sort_keys=True) + "\n"


@deploy("Gates")
def check(app: App) -> None:
    """Have the current release pass its own gates."""
    current = f"{app.root}/current"
    gates.passed(
        name=f"Check the gates of {app.key}",
        app=app.key,
        spec_file=f"{current}/{FILE}",
        since=current,
        # Where nothing was changed there is nothing to check.
        _if=lambda: trial.armed(host),
    )


def _log(app: App, label: str) -> Spec:
    if _systemd(app):
        return {"unit": app.service_unit(label)}
    return {"files": [f"{app.log_root}/{label}.err.log", f"{app.log_root}/{label}.log"]}


def _systemd(app: App) -> bool:
    return app.process_manager == "systemd"


def _timed(app: App, gate: Spec, seconds: int | None = None) -> Spec:
    return {**gate, "seconds": seconds if seconds is not None else app.gate_seconds}


def _running(app: App) -> list[Spec]:
    """One gate for all services that are watched alike: one question to the process manager for all."""
    alike: dict[tuple[int, int], list[str]] = {}
    for label, service in app.services.items():
        own = [gate for gate in service.gates if isinstance(gate, RunningGate)]
        stays = max((gate.stays for gate in own), default=app.gate_stays)
        seconds = max((gate.seconds or app.gate_seconds for gate in own), default=app.gate_seconds)
        alike.setdefault((stays, seconds), []).append(label)
    made = []
    for (stays, seconds), labels in alike.items():
        whom: Spec = {"socket": f"/run/{app.key}/supervisor.sock", "programs": labels}
        if _systemd(app):
            whom = {"units": {label: app.service_unit(label) for label in labels}}
        made.append({"kind": "running", **whom, "stays": stays, "seconds": seconds})
    return made


def _pages(app: App) -> list[Spec]:
    made = []
    for label, service in app.services.items():
        base = {"kind": "http", "service": label}
        if service.health is not None:
            made.append(_timed(app, {**base, "url": f"http://127.0.0.1:{service.port}{service.health}"}))
        if service.page_contains is not None:
            page = {"url": f"http://127.0.0.1:{service.port}/", "contains": service.page_contains}
            made.append(_timed(app, {**base, **page}))
    return made


def _own(app: App) -> list[Spec]:
    made = [_declared(app, gate, None) for gate in app.gates]
    for label, service in app.services.items():
        own = (gate for gate in service.gates if not isinstance(gate, RunningGate))
        made += [{"service": label, **_declared(app, gate, label)} for gate in own]
    return made


def _declared(app: App, gate: AnyGate, label: str | None) -> Spec:
    return _timed(app, {"kind": gate.kind, **_about(app, gate, label)}, gate.seconds)


def _about(app: App, gate: AnyGate, label: str | None) -> Spec:
    port = app.services[label].port if label is not None else None
    match gate:
        case HttpGate():
            found = {"url": f"http://127.0.0.1:{gate.port or port}{gate.path}", "status": gate.status}
            return {**found, **_given(contains=gate.contains, json=gate.json_has or None)}
        case TcpGate():
            return {"host": gate.host, "port": gate.port or port}
        case SqlGate():
            return {"query": gate.query, **_given(returns=gate.returns, max_age=gate.max_age)}
        case FileAgeGate():
            about = {"path": f"{app.shared_root}/{gate.path}", "max_age": gate.max_age}
            return {**about, "json": gate.json_whole, "new": gate.new}
        case CountGate():
            return {"path": f"{app.shared_root}/{gate.path}", "what": gate.what, "by": gate.by}
        case LogGate():
            return {"pattern": gate.pattern, "stays": gate.stays or app.gate_stays, **_logs(app, label)}
        case CommandGate():
            program, *arguments = gate.command
            path = program if program.startswith("/") else f"{app.root}/current/venv/bin/{program}"
            about = {"command": [path, *arguments], "exit_code": gate.exit_code}
            return {**about, **_given(contains=gate.contains)}
        case RunningGate():
            return {}


def _given(**values: Any) -> Spec:
    return {key: value for key, value in values.items() if value is not None}


def _logs(app: App, label: str | None) -> Spec:
    labels = [label] if label is not None else list(app.services)
    if _systemd(app):
        return {"units": [app.service_unit(one) for one in labels]}
    return {"files": [path for one in labels for path in _log(app, one)["files"]]}
