"""Look for what does not travel: in one text, or in a whole directory as it would be deployed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from artefact.tree import wanted
from lint import python_source, source
from lint.exceptions import Exceptions, LintError
from lint.finding import Finding, Piece
from lint.rules import RULES, Rule

SHOWN = 80
PATHS_OF_SUPERVISOR = re.compile(
    r"^\s*(?P<key>directory|stdout_logfile|stderr_logfile|logfile|childlogdir|pidfile|file)"
    r"[ \t]*=[ \t]*(?P<value>[^\s;]+)",
    re.MULTILINE,
)
# Supervisor's own words in the place of a path, and what it fills in, which nobody knows here.
NO_PATHS = re.compile(r"(?i)(auto|none|syslog|/.*|%\(ENV_.*)")


def directory(root: Path, paths: Iterable[str] | None = None) -> list[Finding]:
    """
    Return the findings of an application's directory, in order.

    + root: the application's directory
    + paths: files below it, default those that a release of it would carry

    Raises LintError where there is no directory, or its exceptions cannot be read.
    """
    if not root.is_dir():
        raise LintError(f"{root} is not a directory; name the application's")
    exceptions = Exceptions.of(root)
    found: list[Finding] = []
    chosen = sorted(wanted(root) if paths is None else paths)
    for path in chosen:
        found += file(root / path, path, exceptions)
    if paths is None or exceptions.listed:
        found += exceptions.unneeded()
    return found


def file(place: Path, path: str, exceptions: Exceptions | None = None) -> list[Finding]:
    """
    Return the findings of one file.

    + place: where it is
    + path: what it is called
    + exceptions: of its application, default those in it alone
    """
    if source.is_beside(path):
        return []
    content = source.read(place)
    if content is None:
        return []
    kind = source.kind_of(path, content)
    if kind is None:
        return []
    return (exceptions or Exceptions()).sift(path, content, text(content, path, kind))


def text(content: str, path: str, kind: str) -> list[Finding]:
    """Return the findings of one text, exceptions not considered."""
    if kind == "python":
        try:
            pieces = list(python_source.pieces(content))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            return [Finding(path, line, 1, "HW003", str(getattr(error, "msg", None) or error)[:SHOWN])]
    else:
        bare = source.without_comments(content, kind)
        pieces = [Piece(bare, 1, 1, content.count("\n") + 1, kind)]
    if content.startswith("#!"):
        pieces.append(Piece(content.partition("\n")[0], 1, 1, 1, "shebang"))
    found = {one for piece in pieces for one in _of(piece, path)}
    return sorted(found)


def _of(piece: Piece, path: str) -> list[Finding]:
    found = []
    for rule in RULES:
        for offset, said in _matches(rule, piece):
            line, column = piece.place(offset)
            found.append(Finding(path, line, column, rule.id, " ".join(said.split())[:SHOWN]))
    return found


def _matches(rule: Rule, piece: Piece) -> list[tuple[int, str]]:
    if rule.id == "HW106" and piece.kind == "supervisor":
        return [
            (match.start(), match[0])
            for match in PATHS_OF_SUPERVISOR.finditer(piece.text)
            if not NO_PATHS.fullmatch(match["value"])
        ]
    if rule.id == "HW114":
        return [(0, piece.text)] if piece.kind == "getlogin" else []
    if rule.pattern is None or piece.kind not in rule.kinds:
        return []
    return [
        (match.start() + len(match[0]) - len(match[0].lstrip()), match[0].strip())
        for match in rule.pattern.finditer(piece.text)
        if rule.spared is None or not rule.spared.search(match[0])
    ]
