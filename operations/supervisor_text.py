"""Render what supervisor and systemd read; what their formats cannot carry is refused, not bent."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from pyinfra.api import OperationError
from typing_extensions import override

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Paths go unquoted into three formats (INI, unit, logrotate): only what none of them treats specially.
PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
# An INI comment begins at either after a space, even within quotes.
COMMENT = re.compile(r"\s[;#]")


@dataclass(frozen=True)
class Program:
    """
    One service as supervisor runs it.

    + service: name of the service
    + command: the words of its command; the first is an absolute path
    + directory: where it is started; the release's real path, so that a new release is a new configuration
    + stdout_log, stderr_log: absolute paths of its logs; the directory must exist
    + environment: variables of this service alone, over those of the unit, default none; not for secrets,
      every user of the host may read them
    + autostart: whether it is to run at all, default True
    + start_seconds: seconds it must stay up to count as RUNNING, default 3
    + start_retries: starts in a row that may fail before supervisor gives up, default 3
    + stop_seconds: seconds between stop_signal and SIGKILL, default 10
    + stop_signal: default "TERM"
    + priority: lower ones start earlier and stop later, default 999
    """

    service: str
    command: Sequence[str]
    directory: str
    stdout_log: str
    stderr_log: str
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = True
    start_seconds: int = 3
    start_retries: int = 3
    stop_seconds: int = 10
    stop_signal: str = "TERM"
    priority: int = 999


class _Compiled(FileSystemBytecodeCache):
    """Keep what templates are compiled to, as Python does for modules; not where that cannot be written."""

    @override
    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            Path(self.directory).mkdir(exist_ok=True)
            super().dump_bytecode(bucket)


@cache
def _templates() -> Environment:
    # Plain text, not HTML: escaping would damage it. What goes in is checked here instead.
    return Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=_Compiled(str(TEMPLATES / "__pycache__"), "%s.cache"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    """Render a file of `templates/`; a value that it lacks is an error."""
    return _templates().get_template(template).render(**values)


def name(value: str, what: str) -> str:
    """Return a name that is usable in files, units and supervisor; raise OperationError for others."""
    if NAME.fullmatch(value) is None:
        raise OperationError(f"supervisor: {what} {value!r} has more than letters, digits, '_', '.', '-'")
    return value


def path(value: str, what: str) -> str:
    """Return an absolute path without special characters; raise OperationError for others."""
    if PATH.fullmatch(value) is None:
        raise OperationError(
            f"supervisor: {what} {value!r} is not usable; write an absolute path without spaces or signs"
        )
    return value


def command_text(command: Sequence[str]) -> str:
    """Return the words of a command as supervisor reads them; raise OperationError where it cannot."""
    if not command or not command[0].startswith("/"):
        raise OperationError(
            f"supervisor: the command {shlex.join(command)!r} must begin with an absolute path"
        )
    text = shlex.join(command)
    if not text.isprintable():
        raise OperationError(
            f"supervisor: the command {text!r} has a line break or control character; remove it"
        )
    if COMMENT.search(text):
        raise OperationError(
            f"supervisor: the command {text!r} has ';' or '#' after a space: supervisor cuts it off there; "
            "put that part into a script"
        )
    return text.replace("%", "%%")


def environment_text(environment: Mapping[str, str]) -> str:
    """Return variables as supervisor reads them; raise OperationError for what its format cannot carry."""
    parts = []
    for key, value in environment.items():
        if VARIABLE.fullmatch(key) is None:
            raise OperationError(f"supervisor: {key!r} is no name for an environment variable")
        quote = "'" if '"' in value else '"'
        # Not the value itself: it may be one that nobody should read here.
        problem = (
            (not value.isprintable() and "a line break or control character")
            or (quote in value and "both kinds of quotes")
            or (value.strip("'\"") != value and "a quote at its beginning or end")
            or (COMMENT.search(value) and "';' or '#' after a space")
        )
        if problem:
            raise OperationError(
                f"supervisor: the value of {key} has {problem}, which supervisor cannot carry; "
                "put it into the app's env file"
            )
        parts.append(f"{key}={quote}{value}{quote}")
    return ",".join(parts).replace("%", "%%")


def program_text(program: Program) -> str:
    """
    Return the configuration of one service, for `supervisor/<service>.conf` in its release.

    + program: the service

    Raises OperationError for anything that supervisor would read differently from what was meant.

    Example: `files = {f"supervisor/{one.service}.conf": supervisor.program_text(one) for one in programs}`
    """
    for what in ("start_seconds", "start_retries", "stop_seconds", "priority"):
        if getattr(program, what) < 0:
            raise OperationError(
                f"supervisor: {what} of {program.service} is {getattr(program, what)}; write 0 or more"
            )
    if re.fullmatch(r"[A-Z]+[0-9]*", program.stop_signal) is None:
        raise OperationError(
            f"supervisor: stop_signal {program.stop_signal!r} is no signal; write one like TERM"
        )
    return render(
        "supervisor-program.conf.j2",
        service=name(program.service, "service"),
        command=command_text(program.command),
        directory=path(program.directory, "directory"),
        environment=environment_text(program.environment),
        stdout_log=path(program.stdout_log, "stdout_log"),
        stderr_log=path(program.stderr_log, "stderr_log"),
        autostart=program.autostart,
        start_seconds=program.start_seconds,
        start_retries=program.start_retries,
        stop_seconds=program.stop_seconds,
        stop_signal=program.stop_signal,
        priority=program.priority,
    )
