"""Run one stage of a promotion as a program of its own, and say in a line how it came out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click

PROJECT = Path(__file__).resolve().parent.parent
PYINFRA = Path(sys.executable).with_name("pyinfra")
# What fits on a screen below the stages before it.
TAIL_LINES = 14
WIDTH = 150


class StageError(Exception):
    """A stage did not pass; the text is one screen that says why, and what was left alone."""


class Done(NamedTuple):
    """How a stage came out: its exit code, all that it said, and where that is kept."""

    code: int
    said: str
    log: Path


class Stages:
    """
    The stages of one promotion, each with a log of its own.

    + logs: directory for them
    + verbose: also show all that a stage says while it runs
    + untouched: what to say of production when a stage fails
    """

    def __init__(self, logs: Path, *, verbose: bool) -> None:
        self.logs = logs
        self.verbose = verbose
        self.untouched = ""
        self.count = 0
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)

    def run(self, what: str, command: list[str], *, accepted: tuple[int, ...] = (0,)) -> Done:
        """
        Run a stage to its end.

        + what: it is, for people
        + command: program and arguments
        + accepted: exit codes that are no failure, default 0

        Raises StageError. Ctrl-C reaches the stage, which undoes what it must; then this ends.
        """
        self.count += 1
        log = self.logs / f"{self.count}-{what.replace(' ', '-').replace('/', '-')}.log"
        click.echo(f"  {self.count}  {what:<44}", nl=self.verbose)
        began = time.monotonic()
        code = self._run(command, log)
        seconds = time.monotonic() - began
        said = log.read_text(encoding="utf-8", errors="replace")
        passed = code in accepted
        verdict = click.style("passed", fg="green") if passed else click.style("FAILED", fg="red", bold=True)
        click.echo(f"{verdict}  {seconds:6.1f} s")
        if not passed:
            raise StageError(self.screen(what, said, log))
        return Done(code, said, log)

    def _run(self, command: list[str], log: Path) -> int:
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=PROJECT, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            stopped = False
            while True:
                try:
                    block = os.read(process.stdout.fileno(), 1 << 16) if process.stdout is not None else b""
                    if not block:
                        break
                    file.write(block)
                    file.flush()
                    if self.verbose:
                        click.echo(block, nl=False)
                except KeyboardInterrupt:
                    # The terminal has told the stage as well: it is undoing what it must.
                    click.echo("\n     stopping: what is not confirmed is being undone", err=True)
                    stopped = True
            code = process.wait()
        if stopped:
            raise StageError(f"stopped by Ctrl-C; {self.untouched}".rstrip("; "))
        return code

    def screen(self, what: str, said: str, log: Path) -> str:
        """Return why a stage failed, on one screen."""
        lines = [line[:WIDTH] for line in _telling(said)]
        shown = "\n".join(f"     {line}" for line in lines)
        ends = "\n".join(
            one for one in (f"{what} did not pass; {self.untouched}".rstrip("; "), f"all of it: {log}") if one
        )
        return f"\n{shown}\n\n{ends}"


def _telling(said: str) -> list[str]:
    """Pick the lines that say why: what pytest sums up, what pyinfra calls an error, or the last ones."""
    lines = [click.unstyle(line).rstrip() for line in said.splitlines()]
    lines = [line for line in lines if line.strip() and set(line.strip()) - set("-=. ")]
    failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if failed:
        more = [f"... and {len(failed) - TAIL_LINES} more"] if len(failed) > TAIL_LINES else []
        return [*failed[:TAIL_LINES], *more]
    return lines[-TAIL_LINES:]
