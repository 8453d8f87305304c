"""The story of a comparison: read both, ask all hosts, show where they differ."""

from __future__ import annotations

import json

import click
from rich.console import Console

from comparison import report, sides, survey, words

SAME, NOT_KNOWN, DIFFERS = 0, 1, 2


def compare(left: str, right: str, *, as_json: bool, settings_only: bool, tell_by_code: bool) -> int:
    """
    Compare two inventories, say where they differ, and return the exit code.

    + left, right: inventories, such as "inventories/staging.py"
    + as_json: for programs, and not for people
    + settings_only: connect to no host
    + tell_by_code: whether the code says that something differs

    Raises ComparisonError, InventoryError and SettingsError for what cannot be compared, AskingError where no
    host could be asked.
    """
    first, second = sides.read(left, right)
    seen = None
    if not settings_only:
        mine, other = survey.of(first, second)
        seen = (mine, other)
    found = report.made(first, second, seen)
    if as_json:
        click.echo(json.dumps(report.as_json(found), indent=1))
    else:
        words.show(found, Console(highlight=False))
    for problem in found.problems:
        click.echo(f"compare: {problem}", err=True)
    if found.problems:
        return NOT_KNOWN
    return DIFFERS if tell_by_code and found.differs else SAME
