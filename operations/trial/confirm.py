"""The confirmation: a login over a new connection, which proves that the host can still be reached."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from pyinfra import host as current_host
from pyinfra import logger
from pyinfra.api import FunctionCommand, StringCommand, operation

from operations.reconnect import log_in_and_run
from operations.trial import handler
from operations.trial.commands import script_of_trial

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State

# A new connection that hangs half way is a login that does not work.
CONFIRM_SECONDS = 120


@operation()
def confirmed() -> Generator[FunctionCommand | StringCommand, None, None]:
    """
    Make this run's changes stay: log in over a new connection and cancel the undo through it.

    Call it when every gate has passed. Does nothing where the run has changed nothing. Where the new login
    fails the operation fails, and the run is undone.

    Example: `trial.confirmed(name="Confirm over a new login")`
    """
    if not handler.armed(current_host):
        current_host.noop("nothing was changed; there is nothing to confirm")
        return
    yield FunctionCommand(_confirm, [], {})


def _confirm(state: State, host: Host) -> bool:
    run = handler.run_of(host)
    line = run.line("rolled back" if run.left else "confirmed", changes=run.changed)
    arguments: Any = {**run.arguments, "_stdin": line, "_timeout": max(CONFIRM_SECONDS, run.seconds)}
    problem = log_in_and_run(state, host, script_of_trial("confirm", run.about.id), arguments)
    if problem is not None:
        logger.error(f"{host.print_prefix}a new login could not confirm: {problem}")
        return False
    run.confirmed = True
    return True
