"""What differs, for people: tables on a terminal, plain lines in a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comparison.report import Report
from comparison.rows import ABSENT, Cell, Row, alike, grouped

NOTHING = "(not there)"
# Of a list that is longer, what the others have as well is only counted.
LONG = 60
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT = 12


def show(report: Report, console: Console) -> None:
    """
    Print a report for people.

    + console: where to; tables where it is a terminal, and plain lines where it is not
    """
    for title, rows in (("Settings", report.settings), ("Facts", [*report.facts, *report.packages])):
        if not rows:
            continue
        if console.is_terminal:
            console.print(_table(title, rows, report))
        else:
            _plain(console, "\n".join([f"{title}:", *_lines(rows, report), ""]))
    for line in [*_alone(report), *summary(report)]:
        _plain(console, line)


def _plain(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)


def _table(title: str, rows: list[Row], report: Report) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold", ratio=4)
    for side in (report.left, report.right):
        table.add_column(Text(side.name), overflow="fold", ratio=5)
    for row in rows:
        cells = [
            Text("\n").join(
                Text.assemble(text, *([("\n" + source, "dim")] if source else []))
                for text, source in _cells(row, one)
            )
            for one in (row.left, row.right)
        ]
        table.add_row(Text(_name(row)), *cells)
    return table


def _lines(rows: list[Row], report: Report) -> Iterator[str]:
    wide = max(len(report.left.name), len(report.right.name))
    for row in rows:
        yield f"  {_name(row)}"
        for side, one in ((report.left, row.left), (report.right, row.right)):
            for text, source in _cells(row, one):
                yield f"    {side.name:{wide}}  {text}" + (f"  [{source}]" if source else "")


def _name(row: Row) -> str:
    return f"{row.role}: {row.name}" if row.role else row.name


def _cells(row: Row, side: Mapping[str, Cell]) -> list[tuple[str, str]]:
    """Return what hosts of one side have, and where it is declared; by host where they differ themselves."""
    common = _common([*row.left.values(), *row.right.values()])
    groups = grouped(side)
    return [
        ((f"{', '.join(names)}: " if len(groups) > 1 else "") + said(cell.value, common), cell.source or "")
        for names, cell in groups
    ]


def _common(cells: list[Cell]) -> set[str]:
    """Return what all that have a list have in it."""
    lists = [{str(item) for item in cell.value} for cell in cells if isinstance(cell.value, list)]
    return set.intersection(*lists) if len(lists) == len(cells) else set()


def said(value: Any, common: set[str] | None = None) -> str:
    """
    Return a value in words, on one line and without what would steer a terminal.

    + common: entries that all have, which long lists only count
    """
    if value is ABSENT:
        return NOTHING
    if isinstance(value, dict) and value.keys() == {"secret"}:
        text = f"secret {value['secret']}"
    elif isinstance(value, str):
        text = value[:SHORT] if DIGEST.fullmatch(value) else value or '""'
    elif isinstance(value, dict) and len(json.dumps(value)) > 2 * LONG:
        text = f"a table with {', '.join(value)}"
    elif isinstance(value, list) and len(json.dumps(value)) > LONG and common:
        own = [str(item) for item in value if str(item) not in common]
        text = f"{len(value)} entries, {len(common)} as there" + (f", and {', '.join(own)}" if own else "")
    else:
        text = json.dumps(value, ensure_ascii=False) if value is not None else "None"
    return "".join(one if one.isprintable() else "?" for one in text)


def _alone(report: Report) -> list[str]:
    return [
        f"{one.side}: {', '.join(one.hosts)} {'is' if len(one.hosts) == 1 else 'are'} "
        f"{'in group ' + one.role if one.role else 'in no group'}, as nobody on the other side: not compared"
        for one in report.alone
    ]


def summary(report: Report) -> list[str]:
    """Return how much differs, in one line, and among which hosts of one side in another."""
    sides = f"{report.left.name} and {report.right.name}"
    kinds = {"settings": report.settings}
    compared = report.same["facts"] > 0 or report.facts
    if compared:
        kinds |= {"facts": report.facts, "packages": report.packages}
    counts = "; ".join(
        f"{kind}: {len(rows)} differ, {report.same[kind]} are the same" for kind, rows in kinds.items()
    )
    missing = "facts could not be compared" if report.asked else "hosts were not asked"
    lines = [f"{sides}, {counts}" + ("" if compared else f"; {missing}")]
    for side, which in ((report.left, "left"), (report.right, "right")):
        among = [
            row
            for row in report.rows
            if len({alike(cell.value) for cell in getattr(row, which).values()}) > 1
        ]
        if among:
            shown = ", ".join(_name(row) for row in among[:3]) + (", ..." if len(among) > 3 else "")
            lines.append(f"hosts of {side.name} differ among themselves in {len(among)}: {shown}")
    return lines
