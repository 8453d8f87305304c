"""The crash drill of each app that declares one."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations import drill
from settings.app import App


@deploy("Crash drill")
def crash(app: App, *, database_port: int = 5432) -> None:
    """
    Restart and kill the app's service, and compare.

    + app: its settings; one without `drill` is left alone
    + database_port: of the server on this host, default 5432
    """
    mine = app.drill
    if mine is None:
        return
    label = mine.service or next(label for label, one in app.services.items() if one.health is not None)
    service = app.services[label]
    drill.crash(
        name=f"Restart and kill {label}, which must come back as it was",
        app=app.key,
        unit=app.service_unit(label),
        url=f"http://127.0.0.1:{service.port}{service.health}",
        equal=list(mine.equal),
        database=app.database.database if app.database is not None and mine.query is not None else None,
        port=database_port,
        query=mine.query,
        counted=mine.counted,
        recovery=mine.recovery,
        milliseconds=mine.milliseconds,
        seconds=mine.seconds,
    )
