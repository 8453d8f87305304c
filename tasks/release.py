"""The app's release: packages, code, migrations, and the switch."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.deploy import deploy

from operations import migrations, release, supervisor, systemd, trial, venv
from settings.app import App
from tasks import indexes, maintenance, places, plan
from tasks.origin import comes_from


@comes_from("apps.{app.key}.source")
@deploy("Release")
def apply(app: App, made: plan.Plan, cluster: str | None = None) -> None:
    """Code and packages onto the host, migrations, and the switch."""
    venv.built(
        name=f"Install the packages of {app.key}",
        app_dir=app.root,
        requirements=made.requirements,
    )
    release.unpacked(
        name=f"Unpack release {made.release} of {app.key}",
        app_dir=app.root,
        release=made.release,
        archive=str(made.archive.path),
        sha256=made.archive.sha256,
        digest=made.archive.digest,
        files=made.files,
        links=made.links,
        parts=made.parts,
        about=made.about,
        validate=systemd.unit_check() if app.process_manager == "systemd" else supervisor.program_check(),
    )
    if app.migrate is not None or made.migrations is not None:
        _migrate(app, made, cluster)
    indexes.make(app=app, cluster=cluster)
    maintenance.enter(app=app, release=made.release, drain=host.data.get("drain") != "no")
    release.current(
        name=f"Switch {app.key} to release {made.release}",
        app_dir=app.root,
        release=made.release,
    )


def _migrate(app: App, made: plan.Plan, cluster: str | None) -> None:
    mine = app.database

    def dump_directory() -> str:
        return f"{trial.snapshot(host)}/dumps/{app.key}"

    migrations.applied(
        name=f"Apply pending migrations of {app.key}",
        app_dir=app.root,
        release=made.release,
        command=None if app.migrate is None else plan.words(app.migrate, made.links["venv"]),
        user=app.service_user,
        env_file=app.env_file,
        directory=app.migrations,
        files=made.migrations,
        database=None if mine is None else mine.database,
        role=None if mine is None else mine.owner,
        password_file=None if mine is None else f"{app.secrets_root}/{mine.owner_password}",
        variables=places.variables(app.migrate_variables),
        secrets_directory=app.secrets_root,
        cluster=cluster,
        lock_seconds=app.migration_lock_seconds,
        dump_to=dump_directory if app.dump_before_migration else None,
    )


@comes_from("apps.{app.key}.keep_releases")
@deploy("Prune")
def prune(app: App) -> None:
    """Old releases, once the new one runs."""
    release.pruned(
        name=f"Keep {app.keep_releases} earlier releases of {app.key}",
        app_dir=app.root,
        keep=app.keep_releases,
    )
