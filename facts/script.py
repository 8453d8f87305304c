"""Run a program from `files/host/` on a host, without installing it there first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pyinfra.api import QuoteString, StringCommand

HOST_PROGRAMS = Path(__file__).resolve().parent.parent / "files" / "host"


@cache
def _text(program: str) -> str:
    return (HOST_PROGRAMS / program).read_text(encoding="utf-8")


def script(program: str, *arguments: str | int, stdin: str | None = None) -> StringCommand:
    """
    Build the command that runs a program of `files/host/` on a host.

    The program's text travels in the command itself, so a bare host needs nothing installed and an
    update of hostwright can never meet an old copy. What is secret goes in by `stdin` only: arguments
    are visible in the host's process list and in pyinfra's output.

    + program: file name below `files/host/`, ending in `.sh` (POSIX sh) or `.py` (the host's python3)
    + arguments: passed on as they are, quoted
    + stdin: text for the program's standard input, default none

    Raises FileNotFoundError for an unknown program, ValueError for another ending.

    Example: `yield script("atomic-write.sh", "/etc/motd", "root", "root", "0644", digest, stdin=body)`
    """
    if program.endswith(".sh"):
        runner = ["sh", "-c", QuoteString(_text(program)), QuoteString(program)]
    elif program.endswith(".py"):
        # -I: neither the working directory nor PYTHON* variables of the login may change what runs.
        runner = ["python3", "-I", "-c", QuoteString(_text(program))]
    else:
        raise ValueError(f"host program {program!r} ends neither in .sh nor in .py")
    bits = [*runner, *(QuoteString(str(argument)) for argument in arguments)]
    return StringCommand(*bits) if stdin is None else StringCommand(*bits, _stdin=stdin)
