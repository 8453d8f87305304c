"""systemd as an app's own process manager: one unit a service, restarted only for what changed."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script, text
from facts.systemd import Services, ServicesState
from operations import atomic
from operations.differences import differs
from operations.supervisor_text import render
from operations.systemd_text import Unit, name, path, unit_text
from operations.told import told

__all__ = ["Unit", "commands", "services", "unit_check", "unit_text", "unsettled"]


def unit_check() -> str:
    """Return the command by which `release.unpacked(validate=...)` has systemd read the units."""
    return script("systemd-check.sh").get_raw_value()


def unsettled(state: ServicesState) -> list[str]:
    """Return, a line each, what `services` has to see to."""
    return [
        *(f"{unit}: {', '.join(why)}" for unit, why in sorted(state["due"].items())),
        *(f"{unit}: a boot would not start it" for unit in state["disabled"] if unit not in state["due"]),
        *(f"{unit}: is no longer declared" for unit in state["stale"]),
        *(["systemd has not read its units again"] if state["reload"] and not state["due"] else []),
    ]


@operation()
def services(app: str, *, root: str | None = None, timeout: int = 60) -> Generator[StringCommand, None, None]:
    """
    Have the services of the current release run: restart what changed, add, remove, start what died; wait.

    Takes the units from `<root>/current/systemd`, where `release.unpacked` put what `unit_text` rendered,
    and copies them to /etc/systemd/system. A service is restarted when its unit, its env file or another
    watched file differs from what it was started with; that is kept on the host, so a run that was cut off
    is made good by the next. Says which are started or restarted, and why.

    Waits until every service has been up, in one process, for its start_seconds. One that is not in time, or
    that crashed three times, fails the operation with its state and its last log lines.

    + app: name of the app
    + root: its directory, default `/opt/<app>`
    + timeout: seconds until all must run, default 60; it must exceed the longest stop_seconds and the
      longest start_seconds together

    Does not converge drop-ins of the units.

    Raises OperationError for names and paths that are not usable.

    Example: `systemd.services(name="Restart the services that changed", app="shop")`
    """
    root = path(root or f"/opt/{name(app, 'app')}", "root")
    if timeout < 1:
        raise OperationError(f"systemd: timeout is {timeout}; write seconds, 1 or more")
    state = host.get_fact(Services, app=app, root=root)
    if state["services"] and not unsettled(state):
        host.noop(f"all {len(state['services'])} services of {app} already run as declared")
        return
    for line in unsettled(state):
        differs(f"services of {app}", expected="run as they are declared now", found=line)
    if not state["services"]:
        differs(f"services of {app}", expected="run", found="no release is current")
    yield told(script("systemd-control.py", "update", app, root, timeout))


@operation()
def commands(app: str, *, root: str | None = None, timeout: int = 60) -> Generator[StringCommand, None, None]:
    """
    Install `<app>-restart` and `<app>-status` in /usr/local/bin.

    `<app>-restart [SERVICE...]` restarts the app's own units, waits until each of them runs and shows the
    table. Neither ends a process by a pattern or writes a configuration file.

    + app: name of the app
    + root: its directory, default `/opt/<app>`
    + timeout: seconds that `<app>-restart` waits unless it is told otherwise, default 60; as for `services`

    Does not remove them when the app goes.

    Raises OperationError for names and paths that are not usable.

    Example: `systemd.commands(name="Install shop-restart and shop-status", app="shop")`
    """
    root = path(root or f"/opt/{name(app, 'app')}", "root")
    if timeout < 1:
        raise OperationError(f"systemd: timeout is {timeout}; write seconds, 1 or more")
    for verb in ("restart", "status"):
        yield from atomic.file._inner(
            path=f"/usr/local/bin/{app}-{verb}",
            content=render(
                "systemd-command.py.j2",
                verb=verb,
                app=app,
                root=root,
                program=text("systemd-control.py"),
                timeout=timeout if verb == "restart" else None,
            ),
            mode="0755",
        )
