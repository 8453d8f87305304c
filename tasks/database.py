"""The database server that all apps of a host share, and each app's role and database."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api.deploy import deploy

from operations import postgres
from settings import Settings
from settings.app import App
from settings.postgresql import PostgresqlSettings
from tasks import monitoring, recovery
from tasks.origin import comes_from


@comes_from("postgresql")
@deploy("PostgreSQL")
def start(settings: Settings) -> None:
    """A server that has just been installed, meanwhile: nothing needs it before `server`."""
    if settings.postgresql.recovery is not None:
        return  # what it archives with is not there yet
    postgres.starting(
        name="Let a new PostgreSQL start with its settings",
        settings=settings.postgresql.effective(),
        memory=settings.postgresql.memory,
        cluster=settings.postgresql.cluster,
    )


@comes_from("postgresql")
@deploy("PostgreSQL")
def server(settings: Settings, project: Path) -> None:
    """The server: running, its settings, and who may connect."""
    cluster = settings.postgresql.cluster
    postgres.running(name="Have PostgreSQL run, now and at every boot", cluster=cluster)
    recovery.prepare(settings=settings, project=project)
    postgres.settings(
        name="Put the server settings into effect",
        settings=settings.postgresql.effective(),
        memory=settings.postgresql.memory,
        cluster=cluster,
    )
    recovery.prove(settings=settings)
    rows = [
        row
        for app in settings.all_apps()
        if app.database is not None
        for role in app.database.logins
        for row in postgres.loopback(app.database.database, role)
    ]
    rows += [
        postgres.Row(row.database, row.role, row.network, row.type, row.method)
        for row in settings.postgresql.hba
    ]
    rows += monitoring.rows(settings)
    postgres.hba(
        name="Let in the apps and whom group_data names, and nobody else", rows=rows, cluster=cluster
    )


@comes_from("apps.{app.key}.database")
@deploy("Database")
def apply(app: App, settings: PostgresqlSettings) -> None:
    """One app's database: its owner, who makes the tables, the app's role, its reader, and its extensions."""
    if app.database is None:
        return
    mine, cluster = app.database, settings.cluster
    reader_password = mine.reader_password
    postgres.app(
        name=f"Have the database {mine.database} with its roles {mine.owner}, {mine.role} and {mine.reader}",
        database=mine.database,
        owner=mine.owner,
        owner_password_file=f"{app.secrets_root}/{mine.owner_password}",
        role=mine.role,
        password_file=f"{app.secrets_root}/{mine.password}",
        reader=mine.reader,
        reader_password_file=None if reader_password is None else f"{app.secrets_root}/{reader_password}",
        also=mine.also,
        connection_limit=mine.connection_limit,
        extensions=settings.extensions(),
        cluster=cluster,
    )
    for extension in mine.extensions:
        postgres.extension(
            extension=extension,
            name=f"Create the extension {extension} in {mine.database}",
            database=mine.database,
            cluster=cluster,
        )
