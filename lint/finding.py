"""What the lint says: one finding, and one piece of source that rules look at."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """
    One place that holds on one machine alone.

    + path: of the file, relative to what was looked at
    + line, column: counted from 1
    + rule: such as "HW101"
    + found: the text itself, shortened
    """

    path: str
    line: int
    column: int
    rule: str
    found: str


class Piece(NamedTuple):
    """
    A stretch of source as rules see it: a text file without its comments, or one string of a program.

    + text: what it says
    + line, column: where it begins, counted from 1
    + last: line that it ends on; escapes make a text longer than its source
    + kind: of source, such as "python" or "shell"
    """

    text: str
    line: int
    column: int
    last: int
    kind: str

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and column of one of its characters."""
        before = self.text[:offset]
        below = before.count("\n")
        line = min(self.line + below, self.last)
        column = offset - before.rfind("\n") if below else self.column + offset
        return line, max(1, column)
