"""What Ctrl-C, a closed terminal and `kill` do to a run: it ends in order, and undoes what has to be."""

from __future__ import annotations

import signal
import sys

import click
from pyinfra.context import ctx_state

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def install() -> None:
    """
    Have each of these signals end the run in order, from now on.

    pyinfra exits with 0 when it is interrupted, and not at all in order when it is terminated: then nothing
    would be undone before the host's own timer ends.
    """
    for number in SIGNALS:
        signal.signal(number, _stop)


def _stop(number: int, _frame: object) -> None:
    click.echo(f"stopped by {signal.Signals(number).name}", err=True)
    # Any of them: a terminal that is closed after Ctrl-C must not end the undo that is under way.
    for other in SIGNALS:
        signal.signal(other, _stop_again)
    state = ctx_state.get() if ctx_state.isset() else None
    if state is not None and state.initialised and state.pool is not None:
        # What is under way holds the places that the way out needs; its commands are ended on the hosts.
        state.pool.kill(block=False)
    sys.exit(128 + number)


def _stop_again(number: int, _frame: object) -> None:
    # What was changed is just being undone, over connections that the end of this program would close.
    click.echo(
        "a moment: what is not confirmed is being undone; once more leaves that to the hosts", err=True
    )
    signal.signal(number, signal.SIG_DFL)
