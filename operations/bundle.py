"""Files that belong together, and the units that they make run: exactly these, checked before they count."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.bundle import Bundle, BundleFields, There
from facts.script import script
from operations.differences import differs
from operations.supervisor_text import path as checked_path
from operations.told import told

UNITS = "/etc/systemd/system"
UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9@_.-]*\.(service|timer)")
PATTERN = re.compile(r"(/[A-Za-z0-9_*.][A-Za-z0-9_.*-]*)+")
MODE = re.compile(r"0[0-7]{3}")


@dataclass(frozen=True)
class File:
    """
    One file of a bundle; not for secrets: anybody on the host may read most of them.

    + path: absolute
    + text: the whole of it, ended by a newline
    + link: absolute path that it is a symbolic link to, instead of having a text, a mode and an owner
    + mode: four octal digits, default "0644"
    + user, group: owner, default root
    """

    path: str
    text: str = ""
    mode: str = "0644"
    user: str = "root"
    group: str = "root"
    link: str | None = None


@dataclass(frozen=True)
class Unit:
    """
    One unit of a bundle that runs, now and after a boot; its file is one of the bundle's.

    + name: such as "hostwright-health.timer"
    + reads: files of the bundle, or others, that it must be started anew for when they change
    + record: file in which it notes the SHA-256 of what it was started with, default none, for timers
    + answers: URL that must answer once it runs, default none
    """

    name: str
    reads: Sequence[str] = ()
    record: str | None = None
    answers: str | None = None


@dataclass(frozen=True)
class Difference:
    """Which files have to be written and removed, and which units started and ended."""

    write: list[str]
    remove: list[str]
    start: list[str]
    gone: list[str]


def difference(files: Sequence[File], units: Sequence[Unit], now: BundleFields) -> Difference:
    """Compare what is declared with what the host has."""
    wanted = {one.path: one for one in files}
    write = [one.path for one in files if now["files"].get(one.path) != _described(one)]
    remove = sorted(set(now["files"]) - set(wanted))
    start = [
        one.name
        for one in units
        if now["units"].get(one.name, "not there") or {*one.reads, f"{UNITS}/{one.name}"} & set(write)
    ]
    mine = {one.name for one in units}
    gone = [
        name
        for name in (path.rpartition("/")[2] for path in remove if path.startswith(f"{UNITS}/"))
        if UNIT.fullmatch(name) is not None and name not in mine
    ]
    # A timer first: it would start its service again.
    return Difference(sorted(write), remove, start, sorted(set(gone), key=_timers_first))


def _timers_first(unit: str) -> tuple[bool, str]:
    return not unit.endswith(".timer"), unit


def _described(file: File) -> dict[str, str | None]:
    if file.link is not None:
        return {"link": file.link}
    digest = hashlib.sha256(file.text.encode()).hexdigest()
    return {"sha256": digest, "mode": file.mode, "owner": f"{file.user}:{file.group}"}


@operation()
def present(
    what: str,
    files: list[File],
    units: list[Unit],
    owned: list[str],
    checks: list[list[str]] | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Have exactly these files be there, and these units run as they say.

    All files are checked by their own programs before one of them is replaced. A unit is started anew where
    a file that it reads differs, or what it was started with does; no other is touched.

    + what: what the bundle is, for messages
    + files: all files of the bundle
    + units: those of its units that run; a service that a timer starts is only a file
    + owned: absolute patterns of all files that may be the bundle's: what they name and is not declared is
      removed, a unit among them ended first
    + checks: commands that must succeed; a word that begins with @/ is the path of a file as it is to be

    Does not remove what the units made themselves.

    Raises OperationError for names, paths and modes that are not usable.

    Example:

        bundle.present(
            what="the nightly report",
            files=[bundle.File("/etc/systemd/system/report.timer", timer)],
            units=[bundle.Unit("report.timer")],
            owned=["/etc/systemd/system/report.*"],
        )
    """
    _check(files, units, owned)
    now = host.get_fact(Bundle, owned=owned, units={one.name: one.record for one in units})
    found = difference(files, units, now)
    if not (found.write or found.remove or found.start):
        host.noop(f"{what}: already as declared")
        return
    _tell(found, now)
    yield told(script("bundle.py", "apply", stdin=json.dumps(_given(files, units, checks or [], found))))


@operation()
def absent(what: str, owned: list[str]) -> Generator[StringCommand, None, None]:
    """
    Remove a bundle: its units are ended, its files go.

    + what: what the bundle is, for messages
    + owned: absolute patterns of all its files

    Where there is nothing this costs next to nothing.

    Raises OperationError for patterns that are not usable.

    Example: `bundle.absent(what="the nightly report", owned=["/etc/systemd/system/report.*"])`
    """
    _check([], [], owned)
    there = host.get_fact(There, patterns=owned)
    if not there:
        host.noop(f"{what}: already absent")
        return
    now = BundleFields(files={path: {} for path in there}, units={})
    found = difference([], [], now)
    _tell(found, now)
    yield told(script("bundle.py", "apply", stdin=json.dumps(_given([], [], [], found))))


def _given(
    files: Sequence[File], units: Sequence[Unit], checks: Sequence[Sequence[str]], found: Difference
) -> Mapping[str, object]:
    texts = {
        one.path: {"link": one.link}
        if one.link is not None
        else {"text": one.text, "mode": one.mode, "user": one.user, "group": one.group}
        for one in files
    }
    return {
        "files": texts, "checks": [list(one) for one in checks], "write": found.write,
        "remove": found.remove, "gone": found.gone, "start": found.start,
        "answers": {one.name: one.answers for one in units if one.answers is not None},
    }  # fmt: skip


def _tell(found: Difference, now: BundleFields) -> None:
    for path in found.write:
        there = now["files"].get(path)
        differs(path, expected="as declared", found="none" if there is None else "another content or mode")
    for path in found.remove:
        differs(path, expected="none", found="there")
    for unit in found.start:
        why = now["units"].get(unit, "not there")
        if why:
            differs(unit, expected="runs as declared", found=why)


def _check(files: Sequence[File], units: Sequence[Unit], owned: Sequence[str]) -> None:
    for pattern in owned:
        if PATTERN.fullmatch(pattern) is None:
            raise OperationError(
                f"bundle: {pattern!r} is not usable; write an absolute pattern with '*' alone"
            )
    for file in files:
        checked_path(file.path, "path")
        if file.link is not None:
            checked_path(file.link, "link")
            if file.text:
                raise OperationError(f"bundle: {file.path} is a link, and has a text; write one of them")
        if MODE.fullmatch(file.mode) is None:
            raise OperationError(f'bundle: mode {file.mode!r} of {file.path}; write it like "0644"')
    for unit in units:
        if UNIT.fullmatch(unit.name) is None:
            raise OperationError(f"bundle: {unit.name!r} is no unit; write it like 'report.timer'")
        if f"{UNITS}/{unit.name}" not in {file.path for file in files}:
            raise OperationError(f"bundle: the file of {unit.name} is none of the bundle's; add it")
