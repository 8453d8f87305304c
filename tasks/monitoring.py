"""Monitoring, where it is declared: exporters, Prometheus and Alertmanager; otherwise nothing of them."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from pyinfra import host
from pyinfra.api.deploy import deploy

from facts.bundle import There
from operations import bundle, monitored, monitoring, packages, postgres, secrets, ufw
from settings import Settings
from settings.monitoring import EXPORTER_PORTS
from settings.secret_values import values
from tasks.health import METRICS
from tasks.origin import comes_from

WHAT = "monitoring"
# What is there of it on a host that has any, besides what its processes keep.
ALL = [*monitoring.OWNED, f"{monitoring.SECRETS}/*", METRICS]


def packages_of(settings: Settings) -> list[str]:
    """Return the Debian packages that it needs."""
    mine = settings.monitoring
    return [] if mine is None else monitoring.packages(server=mine.server)


def keep_off(settings: Settings) -> None:
    """Keep the units that the packages bring from ever running: they would listen on all addresses."""
    for package in packages_of(settings):
        packages.masked(name=f"Keep the package's own {package} off", unit=f"{package}.service")


def rows(settings: Settings) -> list[postgres.Row]:
    """Return who may look at the database server: a user of this host, by being it."""
    if settings.monitoring is None:
        return []
    return [postgres.Row("postgres", monitoring.ROLE, type="local", method="peer")]


def ways_in(settings: Settings) -> list[ufw.Rule]:
    """Return the rules of the firewall that let in who may ask the exporters, and nobody else."""
    mine = settings.monitoring
    if mine is None:
        return []
    return [
        ufw.Rule(port=port, source=address, destination=mine.listen, comment="monitoring")
        for address in mine.asked_by
        for port in EXPORTER_PORTS
    ]


def given(settings: Settings, project: Path) -> dict[str, SecretStr]:
    """
    Return the secrets of who is told of alerts, by name.

    + project: directory that age files are relative to

    Raises SettingsError naming every secret that is not there, with where to put it.
    """
    mine = settings.monitoring
    return {} if mine is None else values(mine.secrets, "monitoring", project)


@comes_from("monitoring")
@deploy("Monitoring")
def watch(settings: Settings, project: Path) -> None:
    """The role that looks at the server, then what is asked, then who asks."""
    mine, cluster = settings.monitoring, settings.postgresql.cluster
    if mine is None:
        if host.get_fact(There, patterns=ALL):
            postgres.role(
                name="Drop the role of monitoring", role=monitoring.ROLE, present=False, cluster=cluster
            )
            bundle.absent(name="Remove monitoring", what=WHAT, owned=ALL)
        return
    postgres.role(
        name="Have a role that may look at the server, and at nothing in it",
        role=monitoring.ROLE,
        member_of=["pg_monitor"],
        connection_limit=4,
        cluster=cluster,
    )
    if mine.secrets:
        secrets.store(
            name="Keep what alerts are sent with",
            directory=monitoring.SECRETS,
            given=given(settings, project),
        )
    about = _about(settings)
    bundle.present(
        name="Monitor this host" if mine.server else "Let this host be monitored",
        what=WHAT,
        files=monitoring.files(about),
        units=monitoring.units(about),
        owned=monitoring.OWNED,
        checks=monitoring.checks(about),
    )


@comes_from("monitoring")
@deploy("Monitoring")
def tidy(settings: Settings) -> None:
    """
    Its packages and what was measured, where it was switched off.

    After the confirmation: an undo brings its units back, and they need them.
    """
    if settings.monitoring is not None or not host.get_fact(There, patterns=[monitoring.STATE]):
        return
    unused = [one for one in monitoring.packages(server=True) if one not in settings.packages]
    if unused:
        packages.absent(name="Remove the packages of monitoring", packages=unused)
    monitoring.forgotten(name="Remove what was measured")


def paths() -> list[str]:
    """Return every file that this layer may write: an undo restores them."""
    configs = [f"{monitoring.CONFIGS}/{one}.yml" for one in ("prometheus", "alerts", "alertmanager")]
    wanted = [monitoring.wanted_by(job) for job in monitoring.JOBS]
    return [*configs, *monitoring.OWNED[1:], *wanted]


def exporter_unit() -> str:
    """Return the file of the exporter that the role is for."""
    return f"{bundle.UNITS}/hostwright-postgres.service"


def masks() -> list[str]:
    """Return the links that keep the packages' own units off; an undo removes none: the packages stay."""
    return [f"{bundle.UNITS}/{package}.service" for package, _ in monitoring.JOBS.values()]


def units() -> dict[str, str]:
    """Return its units, each with the record of what it was started with."""
    return {f"hostwright-{job}.service": monitoring.record(job) for job in monitoring.JOBS}


def _about(settings: Settings) -> monitored.Monitoring:
    mine = settings.monitoring
    if mine is None:
        raise ValueError("monitoring is not declared")
    email = None
    if mine.email is not None:
        told = mine.email
        email = monitored.Email(
            to=told.to, sender=told.sender, server=told.server, port=told.port, username=told.username,
            password=told.password is not None,
        )  # fmt: skip
    return monitored.Monitoring(
        host=host.name,
        server=mine.server,
        listen=mine.listen,
        targets=mine.targets,
        every=mine.every,
        minute=mine.minute,
        keep_days=mine.keep_days,
        keep_size=mine.keep_size,
        database_port=settings.postgresql.port,
        webhook=mine.webhook is not None,
        email=email,
    )
