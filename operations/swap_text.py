"""Sizes and /etc/fstab as text: the pure part of `operations/swap.py`."""

from __future__ import annotations

import posixpath
import re

from pyinfra.api import OperationError

SIZE = re.compile(r"([1-9][0-9]{0,5})([MGT])")
UNITS = {"M": 1024**2, "G": 1024**3, "T": 1024**4}


def parse_size(size: str) -> int:
    """
    Turn "2G" or "512M" into bytes.

    Raises OperationError for anything else, saying what to write instead.
    """
    match = SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is not None:
        return int(match[1]) * UNITS[match[2]]
    guess = re.match(r"\s*0*([1-9][0-9]{0,5})\s*([MGTmgt])", str(size))
    advice = f"write '{guess[1]}{guess[2].upper()}'" if guess else "write it like '2G' or '512M'"
    raise OperationError(f"swap.file: size {size!r} is not a size; {advice}")


def readable(number: int) -> str:
    """Say a number of bytes as people do: "2 GiB"."""
    for letter in "TGM":
        if number >= UNITS[letter]:
            return f"{number / UNITS[letter]:.4g} {letter}iB"
    return f"{number // 1024} KiB"


def spelled(path: str) -> str:
    """Return the shortest spelling of an absolute path, as text alone."""
    # POSIX leaves the meaning of exactly two leading slashes open, and normpath keeps them.
    return re.sub(r"^/+", "/", posixpath.normpath(path))


def _is_ours(line: str, path: str) -> bool:
    fields = line.split()
    if len(fields) < 3 or fields[0].startswith("#") or fields[2] != "swap" or not fields[0].startswith("/"):
        return False
    # fstab writes odd characters in octal: \040 is a space.
    plain = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[0])
    return spelled(plain) == path


def fstab_without(fstab: str, path: str) -> str:
    """Take every line of this swap file out; all others stay byte for byte."""
    return "".join(line for line in re.findall(r"[^\n]*\n|[^\n]+\Z", fstab) if not _is_ours(line, path))


def fstab_with(fstab: str, path: str) -> str:
    """
    Leave exactly one line of this swap file, where its first one was or at the end.

    All other lines stay byte for byte; a last line without a newline gets one, if ours follows it.
    """
    wanted = f"{path} none swap sw 0 0\n"
    lines: list[str] = re.findall(r"[^\n]*\n|[^\n]+\Z", fstab)
    ours = [index for index, line in enumerate(lines) if _is_ours(line, path)]
    if not ours:
        ending = "" if not fstab or fstab.endswith("\n") else "\n"
        return f"{fstab}{ending}{wanted}"
    kept = [line for index, line in enumerate(lines) if index not in ours[1:]]
    kept[ours[0]] = wanted
    return "".join(kept)
