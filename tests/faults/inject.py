"""
The hand that breaks a run: appended to config.py of a copy of the project, never of the project itself.

HOSTWRIGHT_FAULT=kind:index says what happens after the operation of that number has succeeded, counted from
1; HOSTWRIGHT_FAULT_NOTE names the file that says when it happened and after which operation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyinfra.api import StringCommand
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_state


class Hand(BaseStateCallback):
    """Breaks one run after one operation."""

    def __init__(self, kind: str, index: int, note: Path) -> None:
        self.kind, self.index, self.note = kind, index, note
        self.begun = 0

    def operation_host_start(  # type: ignore[override]  # pyinfra declares static ones and calls methods
        self, state: State, host: Host, op_hash: str
    ) -> None:
        """Count, and have the step fail after all that it does itself where that is asked for."""
        self.begun += 1
        if self.begun == self.index and self.kind == "fail":
            data = state.get_op_data_for_host(host, op_hash)
            name = _name(state, op_hash)
            data.command_generator = self.failing(data.command_generator, name)

    def operation_host_success(  # type: ignore[override]  # as above
        self, state: State, host: Host, op_hash: str, *_: int
    ) -> None:
        """Break the run here where that is asked for."""
        if self.begun != self.index or self.kind == "fail":
            return
        command = [sys.executable, "-m", "tests.faults.strike", self.kind, host.name]
        # Killed or cut only once it has happened: the note has the time, and comes first for "kill" alone.
        if self.kind != "kill":
            subprocess.run(command, check=True, capture_output=True)
        self.write(_name(state, op_hash))
        if self.kind in ("kill", "unwatched"):
            os.kill(os.getpid(), signal.SIGKILL)

    def failing(
        self, generator: Callable[[], Iterator[PyinfraCommand]], name: str
    ) -> Callable[[], Iterator[PyinfraCommand]]:
        """Return an operation's commands with one more, which fails."""

        def commands() -> Iterator[PyinfraCommand]:
            yield from generator()
            self.write(name)
            yield StringCommand("echo 'this step fails, as the fault matrix asks for' >&2; exit 1")

        return commands

    def write(self, name: str) -> None:
        """Say when, in one rename."""
        aside = self.note.with_suffix(".new")
        aside.write_text(json.dumps({"at": time.time(), "after": name}), encoding="utf-8")
        aside.rename(self.note)


def _name(state: State, op_hash: str) -> str:
    return ", ".join(state.get_op_meta(op_hash).names)


def install() -> None:
    """Have this run break as the environment says, or not at all."""
    given = os.environ.get("HOSTWRIGHT_FAULT")
    if not given:
        return
    kind, _, index = given.partition(":")
    hand = Hand(kind, int(index), Path(os.environ["HOSTWRIGHT_FAULT_NOTE"]))
    state = ctx_state.get()
    original = state.init

    def init(*arguments: Any, **named: Any) -> None:
        original(*arguments, **named)
        # Now, before the deploy file runs: the trial's own handler comes after this one, and so outermost.
        state.add_callback_handler(hand)

    state.init = init
