"""The app's services under a supervisor of their own, and their logs."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations import logrotate, pgbouncer, supervisor, systemd
from settings.app import App
from tasks.origin import comes_from

# What a loaded host takes on top of the times that the services themselves are granted.
SPARE_SECONDS = 60
STOP_STEP = 300


def seconds_to_stop(app: App) -> int:
    """Return how long all services take at most when the supervisor ends: it stops one after the other."""
    longest = SPARE_SECONDS + sum(service.stop_seconds for service in app.services.values())
    # In coarse steps: it stands in the unit, and one more service is no reason to restart all others.
    return -(-longest // STOP_STEP) * STOP_STEP


def seconds_to_update(app: App) -> int:
    """Return how long a restart of any services takes at most: all stop at once, then all start at once."""
    services = app.services.values()
    return (
        SPARE_SECONDS
        + max(service.stop_seconds for service in services)
        + max(service.start_seconds for service in services)
    )


@comes_from("apps.{app.key}.services")
@deploy("Services")
def apply(app: App) -> None:
    """Supervisor's unit, the services that changed, and the commands to look at them."""
    if app.process_manager == "systemd":
        _under_systemd(app)
        return
    supervisor.instance(
        name=f"Run {app.unit}",
        app=app.key,
        user=app.service_user,
        log_dir=app.log_root,
        writable=[app.shared_root],
        env_file=app.env_file,
        config_path=app.supervisor_config,
        after=["postgresql.service", *([pgbouncer.unit_of(app.key)] if app.pool is not None else [])],
        stop_timeout=seconds_to_stop(app),
    )
    supervisor.updated(
        name=f"Bring the {len(app.services)} services of {app.key} up to date",
        app=app.key,
        config_path=app.supervisor_config,
        timeout=seconds_to_update(app),
    )
    supervisor.commands(
        name=f"Install {app.key}-restart and {app.key}-status",
        app=app.key,
        config_path=app.supervisor_config,
        timeout=seconds_to_update(app),
    )


def _under_systemd(app: App) -> None:
    systemd.services(
        name=f"Bring the {len(app.services)} services of {app.key} up to date",
        app=app.key,
        root=app.root,
        timeout=seconds_to_update(app),
    )
    systemd.commands(
        name=f"Install {app.key}-restart and {app.key}-status",
        app=app.key,
        root=app.root,
        timeout=seconds_to_update(app),
    )


@comes_from("apps.{app.key}.logs")
@deploy("Logs")
def logs(app: App) -> None:
    """Daily rotation that restarts nothing; what systemd runs logs to the journal, which rotates itself."""
    if app.process_manager == "systemd":
        return
    logrotate.logs(
        name=f"Rotate the logs of {app.key}",
        app=app.key,
        patterns=[f"{app.log_root}/*.log"],
        user=app.service_user,
        keep=app.logs.keep,
    )
