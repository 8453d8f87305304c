"""Render the unit of one service; what systemd's format cannot carry is refused, not bent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyinfra.api import OperationError

from operations.supervisor_text import NAME, PATH, VARIABLE, render

# Where systemd-control.py finds what each service was started with.
STARTED = "/run/hostwright/started"


@dataclass(frozen=True)
class Unit:
    """
    One service as systemd runs it.

    + unit: name of the unit, such as "shop-web.service"
    + app, service: whose it is
    + command: the words of its command; the first is an absolute path
    + directory: where it is started
    + user: the service user
    + writable: the only directories that it may write, besides a /tmp of its own
    + group: default the user's name
    + env_file: file of variables, read by systemd before it gives up root, default none
    + watched: other files that it must be restarted for when they change, default none
    + environment: variables of this service alone, over those of the file, default none; not for secrets,
      every user of the host may read them
    + start_seconds: seconds it must stay up to count as running, default 3
    + stop_seconds: seconds between SIGTERM and SIGKILL, default 10
    + after: units that are wanted and started before, default PostgreSQL
    """

    unit: str
    app: str
    service: str
    command: Sequence[str]
    directory: str
    user: str
    writable: Sequence[str]
    group: str | None = None
    env_file: str | None = None
    watched: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    start_seconds: int = 3
    stop_seconds: int = 10
    after: Sequence[str] = ("postgresql.service",)


def name(value: str, what: str) -> str:
    """Return a name that is usable in units; raise OperationError for others."""
    if NAME.fullmatch(value) is None:
        raise OperationError(f"systemd: {what} {value!r} has more than letters, digits, '_', '.', '-'")
    return value


def path(value: str, what: str) -> str:
    """Return an absolute path without special characters; raise OperationError for others."""
    if PATH.fullmatch(value) is None:
        raise OperationError(
            f"systemd: {what} {value!r} is not usable; write an absolute path without spaces or signs"
        )
    return value


def quoted(text: str) -> str:
    """Return a text as one word of a unit, in quotes where it needs them; see systemd.syntax(7)."""
    if re.fullmatch(r"[A-Za-z0-9_./:@=+,-]+", text):
        return text
    return '"' + re.sub(r'([\\"])', r"\\\1", text).replace("%", "%%") + '"'


def command_text(command: Sequence[str]) -> str:
    """Return the words of a command as systemd reads them; raise OperationError where it cannot."""
    if not command or not command[0].startswith("/"):
        raise OperationError(f"systemd: the command {list(command)!r} must begin with an absolute path")
    if not all(word.isprintable() for word in command):
        raise OperationError(
            f"systemd: the command {list(command)!r} has a line break or control character; remove it"
        )
    # systemd itself replaces $NAME within commands, and nowhere else.
    return " ".join(
        [path(command[0], "the program"), *(quoted(one).replace("$", "$$") for one in command[1:])]
    )


def environment_lines(environment: Mapping[str, str]) -> list[str]:
    """Return variables as systemd reads them; raise OperationError for what its format cannot carry."""
    lines = []
    for key, value in environment.items():
        if VARIABLE.fullmatch(key) is None:
            raise OperationError(f"systemd: {key!r} is no name for an environment variable")
        if not value.isprintable():
            # Not the value itself: it may be one that nobody should read here.
            raise OperationError(
                f"systemd: the value of {key} has a line break or control character; "
                "put it into the app's env file"
            )
        lines.append(quoted(f"{key}={value}"))
    return lines


def unit_text(unit: Unit) -> str:
    """
    Return the unit of one service, for `systemd/<unit>` in its release.

    + unit: the service

    Raises OperationError for anything that systemd would read differently from what was meant.

    Example: `files = {f"systemd/{one.unit}": systemd.unit_text(one) for one in units}`
    """
    for what in ("start_seconds", "stop_seconds"):
        if getattr(unit, what) < 0:
            raise OperationError(
                f"systemd: {what} of {unit.service} is {getattr(unit, what)}; write 0 or more"
            )
    if not name(unit.unit, "unit").endswith(".service"):
        raise OperationError(f"systemd: unit {unit.unit!r} is no service; write it like 'shop-web.service'")
    watched = [f"/etc/systemd/system/{unit.unit}", *([unit.env_file] if unit.env_file else []), *unit.watched]
    return render(
        "service.service.j2",
        unit=unit.unit,
        app=name(unit.app, "app"),
        service=name(unit.service, "service"),
        command=command_text(unit.command),
        directory=path(unit.directory, "directory"),
        user=name(unit.user, "user"),
        group=name(unit.group or unit.user, "group"),
        env_file=path(unit.env_file, "env_file") if unit.env_file else None,
        environment=environment_lines(unit.environment),
        started_dir=f"{STARTED}/{unit.app}",
        watched=" ".join(path(one, "watched") for one in watched),
        writable=" ".join(path(one, "writable") for one in unit.writable),
        start_seconds=unit.start_seconds,
        stop_seconds=unit.stop_seconds,
        after=[name(one.replace("@", "_"), "after") and one for one in unit.after],
    )
