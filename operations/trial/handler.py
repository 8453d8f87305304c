"""
Where a trial meets pyinfra: before the first operation, before the first change, and at the end of a run.

pyinfra calls these methods of every state callback. Its end is always a disconnect, whether the run
succeeded, failed or was interrupted, and the connections are still open then: that is where what is not
confirmed goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from pyinfra import logger
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_config

from operations.trial import commands
from operations.trial.run import DEFAULT_SECONDS, TAG, About, HostRun, make_id, owner
from operations.trial.touched import Touched

# Signs of life in the time that a host waits for one: enough that a few may be lost.
BEATS = 5
POLL = 2.0


class TrialError(PyinfraError):
    """Raised when a run must not begin or go on; pyinfra shows the text and exits with 1."""


class Handler(BaseStateCallback):
    """The trials of one run of pyinfra, a host each."""

    def __init__(self, about: About) -> None:
        self.about = about
        self.hosts: dict[str, HostRun] = {}

    # --- called by pyinfra

    def operation_host_start(  # type: ignore[override]  # pyinfra declares static ones and calls methods
        self, state: State, host: Host, op_hash: str
    ) -> None:
        """Take the lock before the first operation; have the host recorded before the first change."""
        run = self.hosts.get(host.name)
        if run is None or op_hash in run.exempt or op_hash not in state.ops[host]:
            return
        data = state.get_op_data_for_host(host, op_hash)
        if not run.locked:
            given = dict(data.global_arguments)
            kept = {*CONNECTOR_ARGUMENT_KEYS} - {"_timeout", "_stdin", "_success_exit_codes", "_chdir"}
            run.arguments = {key: given[key] for key in kept if key in given}
            self.lock(run)
        data.command_generator = self.guarded(run, data.command_generator)

    def operation_host_error(  # type: ignore[override]  # as above
        self, state: State, host: Host, op_hash: str, *_: int
    ) -> None:
        """Remember which step failed; pyinfra has shown what it said."""
        run = self.hosts.get(host.name)
        if run is not None and not run.failed:
            run.failed = ", ".join(state.get_op_meta(op_hash).names)

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]  # noqa: ARG002  # as above
        """End the run: undo what is not confirmed, write the ledger, give the lock back."""
        run = self.hosts.get(host.name)
        if run is None or not run.locked:
            return
        if run.confirmed:
            self.look(run, "confirmed")
        run.locked = False
        if run.beating is not None:
            run.beating.kill()
        if run.armed and not run.confirmed:
            commands.undo(run, run.failed or "the run was stopped")
        elif run.confirmed:
            # Its line is written; what failed since, such as pruning, has changed nothing about that.
            commands.release(run, "")
        elif run.failed:
            commands.release(run, run.line("failed", reason=run.failed))
        else:
            commands.release(run, run.line("unchanged"))

    # --- parts

    def lock(self, run: HostRun) -> None:
        """Take the lock, waiting as long as was asked for, and begin to give signs of life."""
        deadline = time.monotonic() + run.wait
        said = False
        while True:
            code, text = commands.take(run)
            if code == 0:
                break
            if code != commands.HELD or time.monotonic() > deadline:
                remedy = "; wait for it with --data wait=600" if code == commands.HELD else ""
                raise TrialError(f"{run.host.name}: {text}{remedy}; nothing was changed")
            if not said:
                logger.info(f"{run.host.print_prefix}{text}; waiting up to {run.wait} s")
                said = True
            gevent.sleep(POLL)
        run.locked, run.contact = True, time.monotonic()
        run.beating = gevent.spawn(self.beat, run)

    def beat(self, run: HostRun) -> None:
        """Tell the host now and then that this run is alive."""
        while run.locked:
            gevent.sleep(max(1.0, run.seconds / BEATS))
            began = time.monotonic()
            if commands.beat(run):
                run.contact = began

    def guarded(
        self, run: HostRun, generator: Callable[[], Iterator[PyinfraCommand]]
    ) -> Callable[[], Iterator[PyinfraCommand]]:
        """Wrap an operation's commands: what the host may have undone is not built upon."""

        def guarded_commands() -> Iterator[PyinfraCommand]:
            try:
                for command in generator():
                    if run.overdue():
                        raise TrialError(
                            f"{run.host.name}: no contact for {run.seconds} s, so the host has undone this "
                            "run by itself; run again"
                        )
                    if not run.armed and not run.confirmed:
                        self.arm(run)
                    run.changed += 1
                    yield command
            except PyinfraError as error:
                # pyinfra ends the run with it, and tells no handler.
                run.failed = run.failed or str(error)
                raise

        return guarded_commands

    def look(self, run: HostRun, moment: str) -> None:
        """Have whoever watches look at the host; what goes wrong there is no reason to undo anything."""
        if run.watch is None:
            return
        try:
            run.watch(run, moment)
        except Exception as error:  # whatever it is, the lock must be given back, and the change stays
            said = str(error) or type(error).__name__
            logger.warning(f"{run.host.print_prefix}it was not looked at ({moment}): {said}")

    def arm(self, run: HostRun) -> None:
        """Have the host record itself and arm its undo; from here on nothing is lost."""
        self.look(run, "before")
        # Before it is known to have worked: an answer that got lost must not leave the host armed.
        run.armed = True
        problem = commands.arm(run)
        if problem:
            raise TrialError(f"{run.host.name}: {problem}")


_handlers: dict[int, Handler] = {}


def begin(
    host: Host,
    *,
    touched: Touched,
    purpose: str,
    releases: dict[str, dict[str, Any]] | None = None,
    seconds: int = DEFAULT_SECONDS,
    wait: int = 0,
    commit: str | None = None,
    proof: dict[str, str] | None = None,
    watch: Callable[[HostRun, str], None] | None = None,
) -> None:
    """
    Put all that follows in this run on trial, on one host; call it once for each, before its operations.

    + host: pyinfra's host
    + touched: what the run may change there
    + purpose: verb and inventory, for the lock and the ledger
    + releases: app to "release", "digest", "commit", "schema" of what it is to be, default none
    + seconds: after how long without a sign of life the host undoes by itself, default 300
    + wait: seconds to wait for another run to end, default 0
    + commit: of the playbook, default none
    + proof: what allows this run, for the ledger, such as {"receipt": ID}, default none
    + watch: called right "before" the first change, and once the run is "confirmed", default nobody

    Operations that were called before are not on trial.

    Raises TrialError where `seconds` is below 10.
    """
    if seconds < 10:
        raise TrialError(f"trial: seconds is {seconds}; write 10 or more, a login alone may take some")
    state = host.state
    handler = _handlers.get(id(state))
    if handler is None:
        handler = _handlers[id(state)] = Handler(About(make_id(), owner(), purpose, commit))
        state.add_callback_handler(handler)
    # For each host anew: pyinfra gives each one's turn a copy of its configuration.
    config = ctx_config.get()
    config.ENV = {**config.ENV, TAG: handler.about.id}
    # In a deploy file `host` stands for whichever host is at work: this one is meant, for good.
    found = state.inventory.get_host(host.name)
    handler.hosts[host.name] = HostRun(
        found, handler.about, touched, seconds, dict(releases or {}), frozenset(found.op_hash_order), wait,
        proof=dict(proof or {}), watch=watch,
    )  # fmt: skip


def _run_of(host: Host) -> HostRun | None:
    handler = _handlers.get(id(host.state))
    return handler.hosts.get(host.name) if handler is not None else None


def armed(host: Host) -> bool:
    """Return whether this run has changed the host and not confirmed it yet."""
    run = _run_of(host)
    return run is not None and run.armed and not run.confirmed


def snapshot(host: Host) -> str:
    """
    Return the directory of this run's snapshot on the host.

    Raises TrialError where no trial has begun.
    """
    return f"/var/lib/hostwright/snapshots/{run_of(host).about.id}"


def run_of(host: Host) -> HostRun:
    """
    Return how a host stands in this run.

    Raises TrialError where no trial has begun.
    """
    run = _run_of(host)
    if run is None:
        raise TrialError(f"{host.name}: no trial has begun; call trial.begin first")
    return run
