"""Health: the gates of all apps, run on the host itself by a timer, and the look at the host for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pyinfra.api import OperationError

from facts.script import text
from operations import bundle
from operations.supervisor_text import render
from operations.systemd_text import name, path

CONFIG = "/etc/hostwright/health.json"
PROGRAMS = "/usr/local/lib/hostwright/health"
TIMER, SERVICE = "hostwright-health.timer", "hostwright-health.service"
OWNED = [
    CONFIG,
    *(f"{PROGRAMS}/{one}.py" for one in ("lean", "health", "gates")),
    f"{bundle.UNITS}/hostwright-health.*",
]
# What it keeps, which goes with it.
STATE = ["/var/lib/hostwright/health/*.json"]
LOOK = "/usr/local/bin/monitor_performance"
# A round: all gates at once, the restart of a service or two, and a busy host.
ROUND_SECONDS = 300


@dataclass(frozen=True)
class App:
    """
    What the health of one app is asked from.

    + app: its name
    + root: its directory; the gates are those of the release that is current there
    + supervisor_config: what supervisorctl is told, None where systemd runs its services
    + supervisor_unit: unit of that supervisor, default none
    + units: service to systemd unit, default none
    + flag: file that is there during maintenance, default none
    + database: its database, default none
    + log_root: directory whose size is measured, default none
    + recovery: regular expression of the line about a recovery, with the group (?P<ms>...), default none
    """

    app: str
    root: str
    supervisor_config: str | None = None
    supervisor_unit: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    flag: str | None = None
    log_root: str | None = None
    database: str | None = None
    recovery: str | None = None


@dataclass(frozen=True)
class Baseline:
    """
    How what is usual of each app is learnt, anew for each release.

    + hours: how long
    + samples: values of each metric at least, of the 288 that this time has
    + database: where PostgreSQL's exporter answers
    """

    hours: float
    samples: int
    database: str


def config_text(
    apps: Sequence[App],
    *,
    every: int,
    restart_after: int | None,
    restarts_per_hour: int,
    metrics: str | None,
    baseline: Baseline | None = None,
) -> str:
    """Return what health.py reads; arguments as for `files`."""
    about = {}
    for one in apps:
        for place in (one.root, one.supervisor_config, one.flag, one.log_root):
            if place is not None:
                path(place, "path")
        about[name(one.app, "app")] = {
            "root": one.root,
            "manager": "systemd" if one.supervisor_config is None else "supervisor",
            "config": one.supervisor_config, "unit": one.supervisor_unit, "units": dict(one.units),
            "flag": one.flag,
            "log_root": one.log_root, "recovery": one.recovery, "database": one.database,
        }  # fmt: skip
    given: dict[str, object] = {"every": every, "metrics": metrics, "apps": about}
    given["baseline"] = None if baseline is None else asdict(baseline)
    given |= {"restart_after": restart_after, "restarts_per_hour": restarts_per_hour}
    return json.dumps(given, indent=1, sort_keys=True) + "\n"


def files(
    apps: Sequence[App],
    *,
    every: int = 60,
    restart_after: int | None = None,
    restarts_per_hour: int = 3,
    metrics: str | None = None,
    baseline: Baseline | None = None,
) -> list[bundle.File]:
    """
    Return the files of the timer that runs the gates of these apps.

    + apps: in any order
    + every: seconds from round to round, default 60
    + restart_after: rounds in a row that a service must have failed to be restarted, default None, never
    + restarts_per_hour: of one app's services, default 3
    + metrics: file for node exporter's textfile collector, in a directory that is there, default none
    + baseline: how what is usual is learnt, default not at all

    Raises OperationError for what is not usable.

    Example:

        bundle.present(
            what="health", files=health.files([health.App("shop", "/opt/shop")]), units=health.units(),
            owned=health.OWNED,
        )
    """
    if not 10 <= every <= 3600:
        raise OperationError(f"health: every is {every}; write seconds, 10 to 3600")
    if restart_after is not None and restart_after < 2:
        raise OperationError(f"health: restart_after is {restart_after}; one look is not enough: 2 or more")
    if restarts_per_hour < 1:
        raise OperationError(f"health: restarts_per_hour is {restarts_per_hour}; write 1 or more")
    given = config_text(
        apps,
        every=every,
        restart_after=restart_after,
        restarts_per_hour=restarts_per_hour,
        metrics=metrics,
        baseline=baseline,
    )
    lean, program = f"{PROGRAMS}/lean.py", f"{PROGRAMS}/health.py"
    service = render("health.service.j2", program=f"{lean} {program}", config=CONFIG, seconds=ROUND_SECONDS)
    return [
        bundle.File(CONFIG, given),
        bundle.File(lean, text("lean.py"), mode="0755"),
        bundle.File(program, text("health.py"), mode="0755"),
        bundle.File(f"{PROGRAMS}/gates.py", text("gates.py"), mode="0755"),
        bundle.File(f"{bundle.UNITS}/{SERVICE}", service),
        bundle.File(f"{bundle.UNITS}/{TIMER}", render("health.timer.j2", every=every)),
    ]


def units() -> list[bundle.Unit]:
    """Return the timer, which is begun anew where it or its service differs."""
    return [bundle.Unit(TIMER)]
