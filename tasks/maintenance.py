"""Maintenance around the switch to another release: in before, out after."""

from __future__ import annotations

from typing import Any

from pyinfra.api.deploy import deploy

from operations import maintenance
from settings.app import App
from settings.maintenance import HttpCall, MaintenanceSettings
from tasks import gates
from tasks.origin import comes_from


@comes_from("apps.{app.key}.maintenance")
@deploy("Maintenance")
def enter(app: App, release: str, *, drain: bool = True, database_port: int = 5432) -> None:
    """
    Have an app that declares it take nothing new, and wait until it has drained.

    + app: its settings
    + release: the one that is about to become the current one
    + drain: whether to wait, default True
    + database_port: of the server on this host, default 5432
    """
    mine = app.maintenance
    if mine is None:
        return
    drained = None
    if mine.drained:
        label = app.maintenance_service
        drained = gates.some(app, mine.drained, label, seconds=mine.seconds, database_port=database_port)
    maintenance.entered(
        name=f"Put {app.key} into maintenance",
        app=app.key,
        app_dir=app.root,
        release=release,
        enter=_call(mine.enter),
        drained=drained,
        drain=drain,
        **_about(app, mine),
    )


@comes_from("apps.{app.key}.maintenance")
@deploy("Maintenance")
def leave(app: App) -> None:
    """
    Have an app that declares it take work again.

    + app: its settings
    """
    if app.maintenance is not None:
        maintenance.left(
            name=f"Take {app.key} out of maintenance", app=app.key, **_about(app, app.maintenance)
        )


def leave_command(app: App) -> list[str]:
    """Return the program of `files/host/`, with arguments, that ends a maintenance; [] without one."""
    if app.maintenance is None:
        return []
    about = _about(app, app.maintenance)
    words = [about["flag"], about["port"], about["leave"], None]
    return ["maintenance.py", "leave", *("-" if word is None else str(word) for word in words)]


def _about(app: App, mine: MaintenanceSettings) -> dict[str, Any]:
    label = app.maintenance_service
    return {
        "flag": f"{app.shared_root}/{mine.flag}",
        "port": app.services[label].port if label is not None else None,
        "leave": _call(mine.leave),
    }


def _call(call: HttpCall | None) -> str | None:
    return f"{call.method}:{call.path}" if call is not None else None
