"""An app's connection pool, where it declares one."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations import pgbouncer
from settings import Settings
from settings.app import App
from tasks.origin import comes_from

PACKAGE, PACKAGES_UNIT = "pgbouncer", "pgbouncer.service"


@comes_from("apps.{app.key}.database.pool")
@deploy("Connection pool")
def keep(app: App, settings: Settings) -> None:
    """The pool, with the role's password of this run: after the role, and before anything uses it."""
    if app.database is None or app.database.pool is None:
        return
    mine, pool = app.database, app.database.pool
    pgbouncer.pool(
        name=f"Pool the connections of {app.key}",
        app=app.key,
        database=mine.database,
        role=mine.role,
        group=app.service_user,
        port=pool.port,
        mode=pool.mode,
        size=pool.size,
        clients=pool.clients,
        server_port=settings.postgresql.port,
        cluster=settings.postgresql.cluster,
    )


def wanted(settings: Settings) -> bool:
    """Return whether an app of the host has a pool."""
    return any(app.pool is not None for app in settings.all_apps())
