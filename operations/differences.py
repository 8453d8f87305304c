"""What differs from what is declared, in words: operations say it, and whoever only asks listens."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

from gevent.local import local
from pyinfra import host

from facts.atomic import FileText

# Of a file that was changed at many places the first say enough.
LINES = 8
# Anybody on the host may read such a file: what is in it is no secret.
READABLE = 0o004


class File(TypedDict):
    """A file's owner, mode (four octal digits) and the SHA-256 of its content."""

    user: str
    group: str
    mode: str
    sha256: str


class Difference(NamedTuple):
    """
    One thing that is not as it is declared.

    + what: such as a path, a unit or a package
    + expected, found: in words, never a secret
    """

    what: str
    expected: str
    found: str


class _Listening(local):  # type: ignore[misc]  # it comes without types
    """Who listens in the greenlet at hand: each host has one of its own."""

    differences: list[Difference] | None = None
    notes: list[str] | None = None


_listening = _Listening()


@contextmanager
def heard() -> Iterator[tuple[list[Difference], list[str]]]:
    """
    Hear what operations say, while their commands are looked at and not run: differences, and notes.

    Example: `with heard() as (differences, notes): list(data.command_generator())`
    """
    before = _listening.differences, _listening.notes
    _listening.differences, _listening.notes = [], []
    try:
        yield _listening.differences, _listening.notes
    finally:
        _listening.differences, _listening.notes = before


def differs(what: str, *, expected: object, found: object) -> None:
    """
    Say that something is not as declared; nothing happens where nobody listens.

    + what: a path, a unit, a package
    + expected, found: in words; no secret, and nothing derived from one

    Example: `differs("/swapfile", expected="2 GiB", found="1 GiB")`
    """
    if _listening.differences is not None:
        _listening.differences.append(Difference(what, str(expected), str(found)))


def noted(text: str) -> None:
    """
    Say what could not be known, or what is no difference although a run would do something.

    + text: one sentence

    Example: `noted("the package lists are 3 days old: later upgrades are not known")`
    """
    if _listening.notes is not None:
        _listening.notes.append(text)


def file_differs(path: str, *, content: str, expected: File, found: File | None) -> None:
    """
    Say how a file differs: owner and mode, and the lines, where anybody may read them.

    + path: absolute
    + content: what is declared, which is no secret
    + expected, found: None for a file that is not there
    """
    if _listening.differences is None:
        return
    if found is None:
        differs(path, expected="a file", found="none")
        return
    owners = [f"{one['user']}:{one['group']} {one['mode']}" for one in (expected, found)]
    if owners[0] != owners[1]:
        differs(path, expected=owners[0], found=owners[1])
    if expected["sha256"] == found["sha256"]:
        return
    if int(found["mode"], 8) & READABLE == 0:
        differs(path, expected="the declared content", found="another")
        return
    text = host.get_fact(FileText, path=path)
    less, more = changed_lines(content, text)
    differs(path, expected=less or "no more lines", found=more or "less lines")


def changed_lines(declared: str, there: str) -> tuple[str, str]:
    """Return the lines that only one of two texts has, the first few of each."""
    lines = list(difflib.ndiff(declared.splitlines(), there.splitlines()))
    sides = [[line[2:].strip() for line in lines if line.startswith(sign)] for sign in ("- ", "+ ")]
    shown = [" | ".join([*side[:LINES], *(["..."] if len(side) > LINES else [])]) for side in sides]
    return shown[0], shown[1]
