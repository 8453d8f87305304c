"""All that was found of two sides, and its shape for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comparison import knobs, survey
from comparison.rows import ABSENT, Cell, Row
from comparison.sides import Alone, Side, paired
from comparison.survey import Surveyed

VERSION = 1


@dataclass
class Report:
    """
    Where two sides differ.

    + left, right: the sides
    + asked: whether hosts were asked for facts
    + settings, facts, packages: in what they differ
    + same: count of settings, facts and packages that do not
    + alone: hosts that nothing was compared with
    + problems: what could not be known
    """

    left: Side
    right: Side
    asked: bool = False
    settings: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    packages: list[Row] = field(default_factory=list)
    same: dict[str, int] = field(default_factory=lambda: {"settings": 0, "facts": 0, "packages": 0})
    alone: list[Alone] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """All in which they differ."""
        return [*self.settings, *self.facts, *self.packages]

    @property
    def differs(self) -> bool:
        """Whether they do at all."""
        return bool(self.rows or self.alone)


def made(
    left: Side, right: Side, seen: tuple[Mapping[str, Surveyed], Mapping[str, Surveyed]] | None
) -> Report:
    """
    Compare two sides.

    + left, right: the sides
    + seen: what their hosts said, host to that; None where they were not asked
    """
    pairs, alone = paired(left, right)
    report = Report(left, right, asked=seen is not None, alone=alone)
    for pair in pairs:
        rows, same = knobs.compared(pair)
        report.settings += rows
        report.same["settings"] += same
        if seen is None:
            continue
        facts, same, packages, same_packages = survey.compared(pair, *seen)
        report.facts += facts
        report.packages += packages
        report.same["facts"] += same
        report.same["packages"] += same_packages
    for side, answers in zip((left, right), seen or ({}, {}), strict=True):
        for name, one in answers.items():
            # Whoever could not be asked is named in the reason already.
            prefix = f"{side.name}: {name}: " if one.answered else f"{side.name}: "
            report.problems += [prefix + problem for problem in one.problems]
    return report


def as_json(report: Report) -> dict[str, Any]:
    """Return a report for programs; docs/environments.md has its shape."""
    return {
        "version": VERSION,
        "differs": report.differs,
        "left": _side(report.left),
        "right": _side(report.right),
        "settings": [_row(one) for one in report.settings],
        "facts": [_row(one) for one in report.facts] if report.asked else None,
        "packages": [_row(one) for one in report.packages] if report.asked else None,
        "same": report.same,
        "alone": [{"side": one.side, "role": one.role, "hosts": one.hosts} for one in report.alone],
        "problems": report.problems,
    }


def _side(side: Side) -> dict[str, Any]:
    hosts = {host.name: {"role": host.role} for host in side.hosts}
    return {"environment": side.name, "inventory": side.inventory, "hosts": hosts}


def _row(row: Row) -> dict[str, Any]:
    left, right = ({name: _cell(one) for name, one in side.items()} for side in (row.left, row.right))
    return {"path": list(row.path), "role": row.role, "left": left, "right": right}


def _cell(cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = {} if cell.value is ABSENT else {"value": cell.value}
    return {**found, "from": cell.source} if cell.source is not None else found
