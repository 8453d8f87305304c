"""Another database in the place of an app's own: from a backup, from a dump, or an empty one."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.deploy import deploy

from operations import restore, restore_migrations, trial
from settings.app import App
from settings.service import DatabaseSettings
from tasks import places, plan
from tasks.restore_plan import Wanted
from tasks.trial import control, update_command

STOP_SPARE = 30


@deploy("Bring")
def bring(found: Wanted) -> None:
    """A dump from this machine onto the host, and all of it checked there."""
    if found.sent is not None:
        restore.brought(
            name=f"Send {found.sent.name} and check it",
            app=found.app.key,
            path=str(found.sent),
            cluster=found.cluster,
        )


@deploy("Restore")
def load(found: Wanted) -> None:
    """A fresh database beside the live one, filled, compared, and with the release's migrations."""
    app, mine = found.app, found.database
    restore.loaded(
        name=f"Fill {found.fresh}",
        app=app.key,
        database=mine.database,
        stamp=found.stamp,
        role=mine.owner,
        source=found.source,
        snapshot=lambda: trial.snapshot(host),
        stop=[*control(app, "stop"), str(_seconds_to_stop(app))],
        cluster=found.cluster,
    )
    if app.migrations is None:
        return
    restore_migrations.applied(
        name=f"Apply to it what the current release of {app.key} has beyond it",
        app=app.key,
        app_dir=app.root,
        directory=app.migrations,
        database=mine.database,
        fresh=found.fresh,
        role=mine.owner,
        password_file=f"{app.secrets_root}/{mine.owner_password}",
        user=app.service_user,
        command=None if app.migrate is None else plan.words(app.migrate, f"{app.root}/current/venv"),
        variables=places.variables(app.migrate_variables),
        secrets_directory=app.secrets_root,
        named_by=[name for name, value in app.variables.items() if value == mine.database],
        env_file=app.env_file,
        lock_seconds=app.migration_lock_seconds,
        cluster=found.cluster,
    )


@deploy("Switch")
def switch(found: Wanted) -> None:
    """The fresh database in the place of the live one."""
    restore.switched(
        name=f"Put {found.fresh} in the place of {found.database.database}",
        app=found.app.key,
        database=found.database.database,
        role=found.database.role,
        snapshot=lambda: trial.snapshot(host),
        update=update_command(found.app),
        condition=found.condition,
        cluster=found.cluster,
    )


@deploy("Tidy")
def tidy(found: Wanted) -> None:
    """What was sent is not needed any more."""
    if found.sent is not None:
        restore.tidied(name=f"Remove {found.sent.name} from the host", app=found.app.key)


@deploy("Prune")
def prune(database: DatabaseSettings, kept: str, cluster: str | None) -> None:
    """One database that was kept, by its dated name."""
    restore.pruned(name=f"Drop {kept}", database=kept, live=database.database, cluster=cluster)


def _seconds_to_stop(app: App) -> int:
    return STOP_SPARE + max(service.stop_seconds for service in app.services.values())
