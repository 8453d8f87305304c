"""Tables for people: lines and colours where a terminal reads, and columns of plain text in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {"worse": "red", "better": "green", "changed": "yellow", "new": "cyan", "gone": "cyan"}


@dataclass
class Columns:
    """
    A table.

    + headings: one a column; those that begin with ">" are set to the right
    + rows: of cells
    + colours: row to colour, for those that have one
    """

    headings: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    colours: dict[int, str] = field(default_factory=dict)

    def add(self, *cells: str, colour: str | None = None) -> None:
        """Add a row."""
        if colour is not None:
            self.colours[len(self.rows)] = colour
        self.rows.append(cells)


def is_terminal() -> bool:
    """Return whether a terminal reads what is printed."""
    return sys.stdout.isatty()


def rendered(parts: Sequence[str | Columns], *, terminal: bool | None = None) -> str:
    """
    Return lines and tables as text.

    + parts: lines are taken as they are: nothing in them is markup
    + terminal: default whether one reads
    """
    if not (is_terminal() if terminal is None else terminal):
        return "\n".join(line for part in parts for line in _plain(part)) + "\n"
    # A narrower terminal breaks lines; a table with broken cells says less.
    width = max(120, shutil.get_terminal_size().columns)
    console = Console(file=StringIO(), force_terminal=True, width=width, highlight=False)
    for part in parts:
        console.print(
            _drawn(part) if isinstance(part, Columns) else Text(part), soft_wrap=isinstance(part, str)
        )
    written = console.file
    return written.getvalue() if isinstance(written, StringIO) else ""


def _drawn(table: Columns) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in table.headings:
        made.add_column(heading.lstrip(">"), justify="right" if heading.startswith(">") else "left")
    for number, cells in enumerate(table.rows):
        made.add_row(*(Text(one) for one in cells), style=table.colours.get(number))
    return made


def _plain(part: str | Columns) -> list[str]:
    if isinstance(part, str):
        return [part]
    rows = [[one.lstrip(">") for one in part.headings], *part.rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(part.headings))]
    right = [one.startswith(">") for one in part.headings]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
