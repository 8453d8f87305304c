"""Supervisor: an instance for each app under its own unit, updated so that only what changed restarts."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script, text
from facts.supervisor import Supervisor, SupervisorState
from operations import atomic
from operations.differences import differs
from operations.supervisor_text import Program, name, path, program_text, render
from operations.told import told

__all__ = ["Program", "commands", "instance", "program_check", "program_text", "unsettled", "updated"]


def program_check() -> str:
    """Return the command by which `release.unpacked(validate=...)` has supervisor read the programs."""
    return script("supervisor-check.py", "programs").get_raw_value()


def unsettled(state: SupervisorState) -> list[str]:
    """Return what `updated` has to see to: programs that changed, appeared, went, or do not run."""
    idle = {one for one, now in state["programs"].items() if now != "RUNNING"}
    return sorted(idle | {*state["pending"]})


@operation()
def instance(
    app: str,
    *,
    user: str,
    log_dir: str,
    writable: Sequence[str],
    group: str | None = None,
    env_file: str | None = None,
    config_path: str | None = None,
    include: str | None = None,
    after: Sequence[str] = ("postgresql.service",),
    stop_timeout: int = 120,
) -> Generator[StringCommand, None, None]:
    """
    Run one app's own supervisor as its service user, under the systemd unit `<app>.service`.

    Restarts it, and so every service, only when its configuration, its unit or the env file differs from
    what it was started with; that is kept on the host, so a run that was cut off is made good by the next.

    + app: name of the app; the unit, `/etc/<app>` (which must exist) and `/run/<app>` are named after it
    + user: the service user; nothing runs as root
    + log_dir: existing directory of the services' logs
    + writable: the only directories that the services may write, besides a /tmp of their own
    + group: default the user's name
    + env_file: file of variables for all services, read by systemd, default none
    + config_path: default `/etc/<app>/supervisord.conf`
    + include: where the services' configurations are, default `/opt/<app>/current/supervisor/*.conf`
    + after: units that are wanted and started before, default PostgreSQL
    + stop_timeout: seconds until systemd kills what has not stopped, default 120; supervisor stops one
      service after the other when it ends, so it must exceed the sum of their stop_seconds

    Does not converge drop-ins of the unit, nor Debian's own supervisor.service.

    Raises OperationError for names and paths that are not usable. A configuration that supervisor, or a
    unit that systemd, does not accept fails the operation and leaves the old one.

    Example:

        supervisor.instance(
            name="Run rec_io's supervisor",
            app="rec_io",
            user="trader",
            log_dir="/opt/rec_io/shared/logs",
            writable=["/opt/rec_io/shared"],
            env_file="/etc/rec_io/env",
        )
    """
    name(app, "app")
    config_path = path(config_path or f"/etc/{app}/supervisord.conf", "config_path")
    include = include or f"/opt/{app}/current/supervisor/*.conf"
    path(include.replace("*", "x"), "include")
    if stop_timeout < 1:
        raise OperationError(f"supervisor: stop_timeout is {stop_timeout}; write seconds, 1 or more")
    unit_path = f"/etc/systemd/system/{app}.service"
    watched = [config_path, unit_path, *([path(env_file, "env_file")] if env_file else [])]
    values = {
        "app": app,
        "user": name(user, "user"),
        "group": name(group or user, "group"),
        "log_dir": path(log_dir, "log_dir"),
        "include": include,
        "config_path": config_path,
        "env_file": env_file,
        "watched": " ".join(watched),
        "programs": include.rpartition("/")[0],
        "writable": " ".join(path(one, "writable") for one in writable),
        "after": [name(one.replace("@", "_"), "after") and one for one in after],
        "stop_timeout": stop_timeout,
    }
    yield from atomic.file._inner(
        path=config_path,
        content=render("supervisord.conf.j2", **values),
        validate=script("supervisor-check.py", "config", f"/run/{app}").get_raw_value(),
    )
    yield from atomic.file._inner(
        path=unit_path,
        content=render("app.service.j2", **values),
        validate=script("supervisor-unit-check.sh", f"{app}.service").get_raw_value(),
    )
    state = host.get_fact(Supervisor, app=app, config_path=config_path)
    if state["active"] and state["enabled"] and state["fresh"]:
        host.noop(f"{app}.service already runs as declared")
        return
    for so, expected, found in (
        (state["active"], "runs", "does not run"),
        (state["enabled"], "starts at boot", "does not start at boot"),
        (state["fresh"], "runs as it is declared now", "was started with other files"),
    ):
        if not so:
            differs(f"{app}.service", expected=expected, found=found)
    yield told(script("supervisor-activate.sh", f"{app}.service", f"/run/{app}.started"))


@operation()
def updated(
    app: str, *, config_path: str | None = None, timeout: int = 60
) -> Generator[StringCommand, None, None]:
    """
    Have the services run as configured: restart what changed, add, remove, start what died; wait for them.

    Says of each that it touches why: its code, its packages, or which part of its configuration changed.
    Waits until every service has been up for its start_seconds. One that is not RUNNING in time, or that
    supervisor gave up on, fails the operation with its state and its last log lines. So does one that does
    not stop in time, but only once all others are up again; the next run restarts it.

    + app: name of the app
    + config_path: default `/etc/<app>/supervisord.conf`
    + timeout: seconds until all must be RUNNING, default 60; what changed stops at once and then starts at
      once, so it must exceed the longest stop_seconds and the longest start_seconds together

    Does not start the supervisor itself: `supervisor.instance` does.

    Raises OperationError for names and paths that are not usable.

    Example: `supervisor.updated(name="Restart the services that changed", app="rec_io")`
    """
    config_path = path(config_path or f"/etc/{name(app, 'app')}/supervisord.conf", "config_path")
    if timeout < 1:
        raise OperationError(f"supervisor: timeout is {timeout}; write seconds, 1 or more")
    state = host.get_fact(Supervisor, app=app, config_path=config_path)
    if state["answers"] and not unsettled(state):
        host.noop(f"all {len(state['programs'])} services of {app} already run as configured")
        return
    for program, now in state["programs"].items():
        if now != "RUNNING":
            differs(f"service {program} of {app}", expected="RUNNING", found=now)
    for program in state["pending"]:
        differs(f"service {program} of {app}", expected="runs as it is declared now", found="runs as before")
    if not state["answers"]:
        differs(f"{app}.service", expected="its supervisor answers", found="it does not")
    yield told(script("supervisor-control.py", "update", f"{app}.service", config_path, timeout))


@operation()
def commands(
    app: str, *, config_path: str | None = None, timeout: int = 60
) -> Generator[StringCommand, None, None]:
    """
    Install `<app>-restart` and `<app>-status` in /usr/local/bin.

    `<app>-restart [SERVICE...]` stops, starts with the app's own configuration only, waits until all is
    RUNNING and shows the table. Neither ends a process by a pattern or writes a configuration file.

    + app: name of the app
    + config_path: default `/etc/<app>/supervisord.conf`
    + timeout: seconds that `<app>-restart` waits unless it is told otherwise, default 60; as for `updated`

    Does not remove them when the app goes.

    Raises OperationError for names and paths that are not usable.

    Example: `supervisor.commands(name="Install rec_io-restart and rec_io-status", app="rec_io")`
    """
    config_path = path(config_path or f"/etc/{name(app, 'app')}/supervisord.conf", "config_path")
    if timeout < 1:
        raise OperationError(f"supervisor: timeout is {timeout}; write seconds, 1 or more")
    for verb in ("restart", "status"):
        yield from atomic.file._inner(
            path=f"/usr/local/bin/{app}-{verb}",
            content=render(
                "supervisor-command.py.j2",
                verb=verb,
                unit=f"{app}.service",
                config_path=config_path,
                program=text("supervisor-control.py"),
                timeout=timeout if verb == "restart" else None,
            ),
            mode="0755",
        )
