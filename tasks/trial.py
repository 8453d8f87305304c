"""What a run may touch on a host: what is saved before its first change, and goes back unless confirmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host

import playbook_identity
from facts.migrations import Migrations
from facts.release import Releases
from facts.swap import SYSCTL_FILE
from operations import config_guard, pgbackrest, pgbouncer, schema, sshd, trial, ufw
from operations.backups import PROGRAM
from operations.health import TIMER as HEALTH_TIMER
from operations.monitoring import ROLE as MONITORING_ROLE
from operations.monitoring import SECRETS as MONITORING_SECRETS
from operations.trial import Touched
from operations.trial.run import HostRun
from settings import Settings
from settings.app import App
from tasks import backups, health, machine, maintenance, monitoring, plan, recovery, services

CLUSTERS = "/etc/postgresql/*/*"


def begin(
    host: Host,
    settings: Settings,
    made: dict[str, plan.Plan],
    *,
    verb: str,
    project: Path,
    proof: dict[str, str] | None = None,
) -> None:
    """Put the run on trial: take the host's lock, and record the host right before the first change."""
    trial.begin(
        host,
        touched=touched(settings, str(host.data.get("ssh_user") or "root")),
        purpose=f"{verb} ({settings.environment})",
        releases={
            app.key: _about(host, app, made[app.key], settings.postgresql.cluster)
            for app in settings.all_apps()
            if app.key in made
        },
        seconds=settings.trial.seconds,
        wait=_seconds(host.data.get("wait")),
        commit=playbook_identity.of(project),
        proof=proof,
        watch=_watch(settings),
    )


def _watch(settings: Settings) -> Callable[[HostRun, str], None] | None:
    """Return what looks at a host before a run's first change and after its end; None where none shall."""
    if not settings.diagnose:
        return None

    def look(run: HostRun, moment: str) -> None:
        # Not before there is something to look at: a run with nothing to do would wait for it, too.
        from tasks import diagnose

        diagnose.look(settings, run, moment)

    return look


@deploy("Confirm")
def confirm() -> None:
    """The end of the trial: every gate has passed, and a new login gets in."""
    trial.confirmed(name="Confirm over a new login")


def _seconds(given: object) -> int:
    text = str(given if given is not None else 0)
    if not text.isdigit():
        raise trial.TrialError(f"wait is {text!r}; write seconds, such as --data wait=600")
    return int(text)


def _about(host: Host, app: App, mine: plan.Plan, cluster: str | None) -> dict[str, Any]:
    """Return what the ledger says of a release; refuse one that could not be undone unless that is meant."""
    found: dict[str, Any] = {
        "release": mine.release,
        "digest": mine.archive.digest,
        "commit": mine.about["commit"],
    }
    breaking = mine.about["schema"]["breaking"] if mine.about["schema"] is not None else []
    if not breaking or app.database is None:
        return found
    ledger = host.get_fact(Migrations, database=app.database.database, cluster=cluster)
    current = host.get_fact(Releases, app_dir=app.root)["current"]
    names = [name for name in breaking if name not in {row["name"] for row in ledger}]
    if names and ledger and current is not None:
        if not host.data.get("irreversible"):
            raise trial.TrialError(f"{host.name}: {app.key}: {schema.cannot_be_undone(current, names)}")
        found["irreversible"] = {"database": app.database.database, "cluster": cluster, "names": names}
    return found


def touched(settings: Settings, login: str) -> Touched:
    """
    Return everything that deploy.py may change on a host.

    + settings: of the host
    + login: user that the run logs in as
    """
    found = Touched(
        swap=settings.swap.path if settings.swap is not None else None,
        sysctls=["vm.swappiness"] if settings.swap is not None else [],
        users=[login, *(app.service_user for app in settings.all_apps())],
        roles=[role for app in settings.all_apps() if app.database for role in app.database.roles],
        cluster=settings.postgresql.cluster,
    )
    found.add([sshd.DROP_IN, SYSCTL_FILE, "/etc/systemd/system/supervisor.service"])
    found.add(["/etc/systemd/system/pgbouncer.service", f"/etc/systemd/system/{machine.POSTGRESQL}"])
    found.add([f"{CLUSTERS}/conf.d/90-hostwright.conf"])
    found.add([f"{CLUSTERS}/{name}" for name in ("postgresql.conf", "pg_hba.conf", "start.conf")], kept=True)
    found.add([*ufw.FILES, "/etc/fstab", f"~{login}/.ssh/authorized_keys"], kept=True)
    found.effect(ufw.FILES, "ufw-restore.sh", says="put back the firewall")
    found.effect([sshd.DROP_IN], "sshd-restore.sh", says="put back the logins of sshd")
    found.add([PROGRAM])
    found.add(config_guard.FILES)
    found.units[config_guard.UNIT] = {"scope": trial.HOST, "started": config_guard.STARTED}
    found.add([*health.paths(), *monitoring.paths()])
    found.add([*monitoring.masks(), f"{MONITORING_SECRETS}/*"], kept=True)
    exporter = monitoring.exporter_unit()
    role = [exporter, MONITORING_ROLE, settings.postgresql.cluster or ""]
    found.effect([exporter], "monitoring-role.sh", *role, says="put back the role of monitoring")
    found.units[HEALTH_TIMER] = {"scope": trial.HOST}
    found.units |= {unit: {"scope": trial.HOST, "started": at} for unit, at in monitoring.units().items()}
    if settings.postgresql.recovery is not None:
        wants = [f"/etc/systemd/system/timers.target.wants/{timer}" for timer in pgbackrest.TIMERS]
        found.add([*pgbackrest.FILES, *wants])
        found.add([f"{recovery.SECRETS}/*"], kept=True)
        found.units |= {timer: {"scope": trial.HOST} for timer in pgbackrest.TIMERS}
    for app in settings.all_apps():
        _add(found, app)
    return found


def _add(found: Touched, app: App) -> None:
    own = f"/etc/systemd/system/{app.key}"
    wanted = f"/etc/systemd/system/multi-user.target.wants/{app.key}"
    # Units of services that an earlier or a later release has are among these too.
    units = [f"{place}{end}" for place in (own, wanted) for end in (".service", "-*.service")]
    found.add(
        [
            f"{app.root}/current",
            f"{app.root}/previous",
            app.env_file,
            *app.secret_paths,
            *([app.supervisor_config] if app.supervised else []),
            *units,
            f"/etc/logrotate.d/{app.key}",
            f"/usr/local/bin/{app.key}-restart",
            f"/usr/local/bin/{app.key}-status",
            *backups.files(app),
        ],
        scope=app.key,
    )
    # Made once and kept: an undo puts back what changed, and throws none away.
    found.add(
        [f"{app.secrets_root}/*", *(f"{app.config_root}/{name}" for name in app.config_files)],
        scope=app.key,
        kept=True,
    )
    found.units |= {unit: {"scope": app.key} for unit in [*app.units, *backups.timers(app)]}
    if app.pool is not None:
        pool = pgbouncer.unit_of(app.key)
        places = ("/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants")
        found.add([*pgbouncer.files_of(app.key), *(f"{place}/{pool}" for place in places)], scope=app.key)
        found.units[pool] = {"scope": app.key, "started": f"/run/{pool.removesuffix('.service')}.started"}
    if app.supervised:
        found.units[app.unit]["started"] = f"/run/{app.key}.started"
    found.apps[app.key] = {
        "root": app.root,
        "roles": app.database.roles if app.database is not None else [],
        "state": control(app, "state"),
        "update": update_command(app),
        "leave": maintenance.leave_command(app),
    }


def update_command(app: App) -> list[str]:
    """Return the program, with its arguments, that brings an app's services to its current release."""
    return [*control(app, "update"), str(services.seconds_to_update(app))]


def control(app: App, verb: str) -> list[str]:
    if app.supervised:
        return ["supervisor-control.py", verb, app.unit, app.supervisor_config]
    return ["systemd-control.py", verb, app.key, app.root]
