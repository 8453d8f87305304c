"""Run a program from `files/host/` on a host, without installing it there first."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pyinfra.api import QuoteString, StringCommand

PART = re.compile(r"^from (\w+) import (?:\([^)]*\)|[^(\n]+)\n", re.MULTILINE)
HOST_PROGRAMS = Path(__file__).resolve().parent.parent / "files" / "host"


@cache
def text(program: str) -> str:
    """
    Return the text of a program of `files/host/`, whole: it stands alone wherever it is put.

    A part that a Python program imports from beside itself, such as `from gates_common import Watch`, is
    put in the place of its first import.
    """
    return _whole(program, set())


def _whole(program: str, inside: set[str]) -> str:
    def part(found: re.Match[str]) -> str:
        file = f"{found[1]}.py"
        if not (HOST_PROGRAMS / file).exists():
            return found[0]
        if file in inside:
            return ""
        inside.add(file)
        return _whole(file, inside)

    content = (HOST_PROGRAMS / program).read_text(encoding="utf-8")
    return PART.sub(part, content) if program.endswith(".py") else content


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
        runner = ["sh", "-c", QuoteString(text(program)), QuoteString(program)]
    elif program.endswith(".py"):
        # -I: neither the working directory nor PYTHON* variables of the login may change what runs.
        runner = ["python3", "-I", "-c", QuoteString(text(program))]
    else:
        raise ValueError(f"host program {program!r} ends neither in .sh nor in .py")
    bits = [*runner, *(QuoteString(str(argument)) for argument in arguments)]
    return StringCommand(*bits) if stdin is None else StringCommand(*bits, _stdin=stdin)
