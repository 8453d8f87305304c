"""Health and monitoring: what is declared runs, looks, and is seen from where it is declared alone."""

from __future__ import annotations

from typing import Any

import pytest

from declared import DeclaredHost
from operations.health import TIMER
from operations.monitoring import EXPORTERS, JOBS
from settings import Settings
from tasks import health
from tests.acceptance.view import HostView

# A round takes this long where gates do not pass at once.
ROUND_SECONDS = 60


@pytest.fixture
def seen(declared: DeclaredHost, settings: Settings, view: HostView) -> Any:
    """What there is of it on a host that declares it."""
    mine = health.declared(settings)
    if mine is None:
        pytest.skip("group_data declares neither health nor monitoring")
    jobs: list[str] = []
    if settings.monitoring is not None:
        jobs = list(JOBS if settings.monitoring.server else EXPORTERS)
    about = {
        "timer": TIMER,
        "apps": [app.key for app in settings.all_apps()],
        "units": [f"hostwright-{job}.service" for job in jobs],
        "server": settings.monitoring is not None and settings.monitoring.server,
        "seconds": mine.every + ROUND_SECONDS,
    }
    return {"jobs": jobs, "every": mine.every, **view.monitoring(about)}


def test_health_is_looked_at(declared: DeclaredHost, seen: Any) -> None:
    """The timer runs, after a boot too; the last round of each app is young, and all of it passed."""
    assert seen["timer"] == ["active", "enabled"]
    for app, last in seen["rounds"].items():
        assert last is not None, f"the gates of {app} were never run by {TIMER}"
        assert last["age"] < 2 * seen["every"] + ROUND_SECONDS, f"the last round of {app} is too old"
        assert last["failed"] == []


def test_monitoring_runs_and_is_asked(declared: DeclaredHost, settings: Settings, seen: Any) -> None:
    """Each exporter runs, and Prometheus, where it is declared, gets an answer from all, elsewhere too."""
    if not seen["jobs"]:
        pytest.skip("group_data declares no monitoring")
    assert seen["units"] == {f"hostwright-{job}.service": ["active", "enabled"] for job in seen["jobs"]}
    if seen["targets"] is not None:
        others = settings.monitoring.targets if settings.monitoring is not None else {}
        wanted = [
            *((declared.name, job) for job in JOBS),
            *((other, job) for other in others for job in EXPORTERS),
        ]
        assert seen["targets"] == {f"{job} of {name}": "up" for name, job in wanted}


def test_monitoring_listens_where_declared(declared: DeclaredHost, settings: Settings, seen: Any) -> None:
    """No page listens where others can reach it; exporters only at the address that is declared for that."""
    wanted = [f"127.0.0.1:{JOBS[job][1]}" for job in seen["jobs"]]
    if settings.monitoring is not None and settings.monitoring.listen is not None:
        at = settings.monitoring.listen
        wanted += [f"{f'[{at}]' if ':' in at else at}:{JOBS[job][1]}" for job in EXPORTERS]
    assert seen["listens"] == sorted(wanted)
