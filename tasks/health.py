"""The health of all apps, looked at by the host itself, and a look at the host for people."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from facts.script import text
from operations import atomic, bundle, health
from operations.monitoring import JOBS
from settings import Settings
from settings.app import App
from settings.monitoring import HealthSettings
from tasks.origin import comes_from

# Where Debian's node exporter is told to look.
METRICS = "/var/lib/prometheus/node-exporter/hostwright.prom"
WHAT = "the health of the apps"


def declared(settings: Settings) -> HealthSettings | None:
    """Return how health is looked at, or None where it is not; monitoring stands on it."""
    if settings.health is None and settings.monitoring is not None:
        return HealthSettings()
    return settings.health


@deploy("A look at the host")
def look() -> None:
    """monitor_performance: one screen, for people."""
    atomic.file(
        name="Install monitor_performance",
        path=health.LOOK,
        content=text("monitor-performance.py"),
        mode="0755",
    )


@comes_from("health")
@deploy("Health")
def watch(settings: Settings) -> None:
    """The timer that runs the gates of all apps; or nothing of it."""
    mine = declared(settings)
    if mine is None:
        bundle.absent(name="Run no gates between deploys", what=WHAT, owned=[*health.OWNED, *health.STATE])
        return
    bundle.present(
        name=f"Run the gates of all apps every {mine.every} s",
        what=WHAT,
        files=health.files(
            [_about(app) for app in settings.all_apps()],
            every=mine.every,
            restart_after=mine.restart_after,
            restarts_per_hour=mine.restarts_per_hour,
            metrics=METRICS if settings.monitoring is not None else None,
            baseline=None if settings.monitoring is None else _baseline(mine),
        ),
        units=health.units(),
        owned=health.OWNED,
    )


def paths() -> list[str]:
    """Return every file that this layer may write: an undo restores them."""
    wanted = f"{bundle.UNITS}/timers.target.wants/{health.TIMER}"
    units = [f"{bundle.UNITS}/{one}" for one in (health.SERVICE, health.TIMER)]
    return [health.LOOK, *health.OWNED[:-1], *units, wanted]


def _baseline(mine: HealthSettings) -> health.Baseline | None:
    if mine.baseline is None:
        return None
    exporter = f"http://127.0.0.1:{JOBS['postgres'][1]}/metrics"
    return health.Baseline(mine.baseline.hours, mine.baseline.samples, exporter)


def _about(app: App) -> health.App:
    return health.App(
        app=app.key,
        root=app.root,
        supervisor_config=app.supervisor_config if app.supervised else None,
        supervisor_unit=app.unit if app.supervised else None,
        units={} if app.supervised else {label: app.service_unit(label) for label in app.services},
        flag=app.maintenance_flag,
        database=None if app.database is None else app.database.database,
        log_root=app.log_root if app.supervised else None,
        recovery=None if app.drill is None else app.drill.recovery,
    )
