"""Going back to a moment: pgBackRest, for the one database server of a host that declares it."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations import pgbackrest, secrets
from operations.pgbackrest_bucket import Bucket
from settings import Settings
from settings.recovery import BucketSettings, RecoverySettings
from settings.secret_values import values
from tasks.origin import comes_from

# Where the host keeps what its bucket knows it by.
SECRETS = "/etc/pgbackrest/secrets"


class RecoveryError(PyinfraError):
    """Raised when what was asked for cannot be done; pyinfra shows the text and exits with 1."""


def packages(settings: Settings) -> list[str]:
    """Return the Debian packages that a declared recovery needs."""
    return ["pgbackrest"] if declared(settings) is not None else []


def declared(settings: Settings) -> RecoverySettings | None:
    """Return what is declared, or None where nothing is to be archived."""
    mine = settings.postgresql.recovery
    return mine if mine is not None and mine.enabled else None


def given(settings: Settings, project: Path) -> dict[str, SecretStr]:
    """
    Return the secrets of the repository's bucket, by name; none where it is on the host.

    + project: directory that age files are relative to

    Raises SettingsError naming every secret that is not there, with where to put it.
    """
    mine = declared(settings)
    if mine is None or mine.s3 is None:
        return {}
    return values(mine.s3.secrets, "postgresql.recovery.s3", project)


@comes_from("postgresql.recovery")
@deploy("Recovery")
def prepare(settings: Settings, project: Path) -> None:
    """Where changes go, before the server archives any."""
    mine = declared(settings)
    if mine is not None and mine.s3 is not None:
        secrets.store(
            name="Keep the secrets of the repository's bucket",
            directory=SECRETS,
            given=given(settings, project),
        )
    if mine is not None:
        pgbackrest.configured(
            name="Be ready to archive every change",
            stanza=mine.stanza,
            full=mine.full,
            incremental=mine.incremental,
            keep_full=mine.keep_full,
            repository=mine.repository,
            queue=mine.queue,
            bucket=None if mine.s3 is None else _bucket(mine.s3),
            cluster=settings.postgresql.cluster,
        )


def _bucket(mine: BucketSettings) -> Bucket:
    return Bucket(
        endpoint=mine.endpoint,
        bucket=mine.bucket,
        secrets=SECRETS,
        region=mine.region,
        port=mine.port,
        path_style=mine.path_style,
        ca_file=mine.ca_file,
    )


@comes_from("postgresql.recovery")
@deploy("Recovery")
def prove(settings: Settings) -> None:
    """Changes are archived; or, where that was switched off, nothing of it is left but the repository."""
    mine, cluster = declared(settings), settings.postgresql.cluster
    if mine is not None:
        pgbackrest.archiving(
            name="Archive every change, on top of a full backup", stanza=mine.stanza, cluster=cluster
        )
    elif settings.postgresql.recovery is not None:
        pgbackrest.absent(name="No longer keep what recovery needs", cluster=cluster)


def asked(host: Host) -> str:
    """Return the moment that was asked for; raise where there is none, or the host cannot be recovered."""
    to = host.data.get("to")
    if not to:
        raise RecoveryError("write the moment: --data to='2026-01-31 12:00:00+00:00'; or --data end=1")
    return str(to)


@deploy("Recover")
def begin(settings: Settings, to: str, stanza: str | None = None) -> None:
    """
    Recover the server beside the running one, or one that is gone.

    + to: the moment, with its offset from UTC
    + stanza: name in the repository of the one that is gone, default the running one's own
    """
    mine = declared(settings)
    if mine is None:
        raise RecoveryError(
            "postgresql.recovery is not declared for this host: there is nothing to recover it from"
        )
    pgbackrest.recovered(
        to=to,
        name=f"Recover PostgreSQL as it was at {to}",
        stanza=stanza or mine.stanza,
        gone=stanza not in (None, mine.stanza),
        cluster=settings.postgresql.cluster,
    )


@deploy("Remove what was recovered")
def end(settings: Settings) -> None:
    """Stop it and remove its files."""
    pgbackrest.forgotten(name="Remove what was recovered", cluster=settings.postgresql.cluster)
