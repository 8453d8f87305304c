"""Changes that could lock us out: armed with an undo, kept only after a login over a new connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyinfra import logger
from pyinfra.api import FunctionCommand, OperationError, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.exceptions import ConnectError, PyinfraError

from facts.script import script, text

if TYPE_CHECKING:
    from pyinfra.api.host import Host
    from pyinfra.api.state import State

# A new login takes a second or two; a host that undoes before that would undo changes that are good.
SHORTEST_UNDO = 5
LONGEST_UNDO = 3600
UNDO_BY_HAND = 30
# sshd closes its port for a moment when it reloads: longer on a busy host.
PATIENCE = 5.0


def arm(trial: str, *, undo_after: int, after: str, files: list[str]) -> StringCommand:
    """
    Build the command that saves files on the host and arms the timer that puts them back.

    The timer belongs to the host and outlives this program, the connection and a reboot (after which it
    counts from the boot). Where the trial is armed already, by a run that was cut off, what that run
    saved is kept, because that is the state that worked, and the clock starts again.

    + trial: what is on trial, one word; names the unit `hostwright-undo-<trial>.timer`
    + undo_after: seconds until the host undoes the change by itself, 5 to 3600
    + after: program of `files/host/` that makes the restored files take effect
    + files: absolute paths that the change may touch; those that do not exist are removed by the undo

    Raises OperationError where undo_after is out of range.

    Example: `yield arm("ufw", undo_after=120, after="ufw-restore.sh", files=["/etc/ufw/user.rules"])`
    """
    if not SHORTEST_UNDO <= undo_after <= LONGEST_UNDO:
        raise OperationError(
            f"undo_after {undo_after!r} is out of range; write seconds from {SHORTEST_UNDO} to {LONGEST_UNDO}"
        )
    return script("reconnect-arm.sh", trial, undo_after, text(after), *files, stdin=text("reconnect-undo.sh"))


def confirm(trial: str, *, undo_after: int) -> FunctionCommand:
    """
    Build the step that logs in over a new connection and cancels the undo through it.

    The step fails, and undoes the change at once through the connection that is still open, where the
    new login or the confirmation over it fails. Where that is dead too, the host's own timer undoes it.

    + trial: what is on trial, as given to `arm`
    + undo_after: seconds, as given to `arm`; for the message

    Example: `yield confirm("ufw", undo_after=120)`
    """
    return FunctionCommand(confirm_by_new_login, [trial, undo_after], {})


def confirm_by_new_login(state: State, host: Host, trial: str, undo_after: int) -> bool:
    """Log in anew and confirm the trial through that connection; on failure undo it and return False."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    # sudo and its like, so that what is confirmed is a login that can still administer the host.
    arguments: Any = {key: value for key, value in given.items() if key in CONNECTOR_ARGUMENT_KEYS}
    problem = log_in_and_run(state, host, script("reconnect-confirm.sh", trial), arguments)
    if problem is None:
        return True

    logger.error(f"{host.print_prefix}{trial}: a new login failed: {problem}")
    saved = f"/var/lib/hostwright/undo/{trial}"
    undo = StringCommand(f"if [ -e {saved}/armed ]; then sh {saved}/undo; fi")
    try:
        undone, _ = host.run_shell_command(undo, **{**arguments, "_timeout": UNDO_BY_HAND})
    except (OSError, PyinfraError, EOFError) as error:
        logger.error(f"{host.print_prefix}{trial}: the open connection is dead too ({error})")
        undone = False
    if undone:
        logger.error(f"{host.print_prefix}{trial}: the change was undone; the state before it is back")
    else:
        logger.error(
            f"{host.print_prefix}{trial}: the host undoes the change by itself within {undo_after} s; "
            "wait for that, then run again"
        )
    return False


def log_in_and_run(state: State, host: Host, command: StringCommand, arguments: Any) -> str | None:
    """
    Run a command over a connection of its own; return what went wrong, None where nothing did.

    + command: with its standard input, if any
    + arguments: pyinfra's connector arguments, such as `_sudo`
    """
    # The open connection proves nothing: firewalls let established connections live, and sshd does too.
    fresh = type(host.connector)(state, host)
    began = time.monotonic()
    try:
        while True:
            try:
                fresh.connect()
                break
            except ConnectError:
                if time.monotonic() - began > PATIENCE:
                    raise
                time.sleep(0.5)
        succeeded, output = fresh.run_shell_command(
            command, print_output=state.print_output, print_input=state.print_input, **arguments
        )
    # Whatever goes wrong with the new connection is the answer that was asked for.
    except Exception as error:
        return str(error) or type(error).__name__
    finally:
        client = getattr(fresh, "client", None)
        if client is not None:
            client.close()
    return None if succeeded else (output.stderr or "the confirmation failed on the host")
