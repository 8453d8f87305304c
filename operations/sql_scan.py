"""Split SQL text into statements the way psql does, without running it: quotes, comments, bodies. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<string>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<cast>::|:=)
    | (?P<variable>:(?:'[^'\n]*'|"[^"\n]*"|\{\?|[A-Z_]{2,}))
    | (?P<end>;)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<backslash>\\)
    | (?P<unclosed>['"])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
BLOCK = re.compile(r"/\*|\*/")
ROUTINES = ("FUNCTION", "PROCEDURE")
# Enough to tell what kind of statement it is and what it makes.
KEPT_TOKENS = 16


class ScanError(Exception):
    """Text that psql would not take for plain SQL; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line


class Statement(NamedTuple):
    """
    One statement: the line that it begins on, and its first tokens.

    Words are in upper case; names in double quotes are kept with them, other tokens are left out.
    """

    line: int
    words: tuple[str, ...]


class Scan(NamedTuple):
    """The statements of a text and its comments of one line, each with its line number."""

    statements: list[Statement]
    comments: list[tuple[int, str]]


def scan(text: str) -> Scan:
    """
    Split a text into its statements.

    Raises ScanError for a quote or comment that is never closed, a psql command or variable, and data in
    the text (COPY ... FROM STDIN).

    Example: `[one.words[:2] for one in scan("CREATE TABLE a (); DROP TABLE b").statements]`
    """
    found = Scan([], [])
    words: list[str] = []
    began: int | None = None
    parentheses = body = place = counted = 0
    here = 1
    while (match := TOKEN.match(text, place)) is not None:
        here += text.count("\n", counted, place)
        counted = place
        kind, token = match.lastgroup, match[0]
        place = match.end()
        if kind == "space":
            continue
        if kind == "comment":
            found.comments.append((here, token))
            continue
        if kind == "block":
            place = _after_comment(text, place, here)
            continue
        if kind == "dollar":
            closing = text.find(token, place)
            if closing < 0:
                raise ScanError(here, f"{token} is never closed")
            place = closing + len(token)
        elif kind == "unclosed":
            raise ScanError(here, f"the quote {token} is never closed")
        elif kind == "backslash":
            command = text[match.start() :].split(maxsplit=1)[0]
            raise ScanError(here, f"{command} is a command of psql, not SQL; remove it")
        elif kind == "variable":
            raise ScanError(here, f"{token} is a variable of psql, not SQL; write its value")
        elif kind == "end" and parentheses == 0 and body == 0:
            if began is not None:
                found.statements.append(_statement(began, words))
            words, began = [], None
            continue
        elif kind == "open":
            parentheses += 1
        elif kind == "close":
            parentheses = max(0, parentheses - 1)
        elif kind == "word":
            token = token.upper()
            body = _body_depth(body, token, words)
        began = here if began is None else began
        if kind in ("word", "quoted") and len(words) < KEPT_TOKENS:
            words.append(token)
        if kind == "word" and words[:1] == ["COPY"] and words[-1:] == ["STDIN"]:
            raise ScanError(here, "COPY FROM STDIN reads data that a migration has no room for; use INSERT")
    if began is not None:
        found.statements.append(_statement(began, words))
    return found


def _statement(line: int, words: list[str]) -> Statement:
    return Statement(line, tuple(words))


def _after_comment(text: str, place: int, line: int) -> int:
    """Return where a block comment ends; they nest."""
    depth = 1
    while depth:
        match = BLOCK.search(text, place)
        if match is None:
            raise ScanError(line, "the comment /* is never closed")
        depth += 1 if match[0] == "/*" else -1
        place = match.end()
    return place


def _body_depth(depth: int, word: str, words: list[str]) -> int:
    """Count how deep in a BEGIN ATOMIC body of a routine this word is; semicolons there end nothing."""
    makes_routine = words[:1] == ["CREATE"] and any(routine in words[1:4] for routine in ROUTINES)
    if not makes_routine:
        return 0
    if word == "BEGIN" or (word == "CASE" and depth):
        return depth + 1
    return depth - 1 if word == "END" and depth else depth
