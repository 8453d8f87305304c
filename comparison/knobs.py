"""The settings in which hosts differ, and which file declares each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparison.masking import shown
from comparison.rows import ABSENT, Cell, Row, differences
from comparison.sides import Pair
from declared import PROJECT, DeclaredHost
from settings import files
from settings.load import OVERRIDES, WHOLE

DEFAULT, OWN = "default", "the host's own data"
# What the two sides are called; it says nothing of their hosts.
OF_THE_SIDE = "environment"


def compared(pair: Pair, project: Path = PROJECT) -> tuple[list[Row], int]:
    """
    Return the settings in which hosts of a pair differ, and how many are the same.

    + pair: hosts of both sides
    + project: directory that group_data/ is in
    """
    hosts = [*pair.left, *pair.right]
    found = differences([_table(host) for host in hosts])
    rows = []
    for path, values in found.different.items():
        cells = [_cell(host, path, value, project) for host, value in zip(hosts, values, strict=True)]
        names = [host.name for host in hosts]
        split = len(pair.left)
        left, right = (
            zip(names[:split], cells[:split], strict=True),
            zip(names[split:], cells[split:], strict=True),
        )
        rows.append(Row(pair.role, path, dict(left), dict(right)))
    return rows, found.same


def _table(host: DeclaredHost) -> dict[str, Any]:
    whole = host.settings.model_dump(mode="json", by_alias=True)
    return {key: value for key, value in whole.items() if key != OF_THE_SIDE}


def _cell(host: DeclaredHost, path: Sequence[str], value: Any, project: Path) -> Cell:
    if value is ABSENT:
        return Cell(ABSENT)
    return Cell(shown(path, value), source(host, path, project))


def source(host: DeclaredHost, path: Sequence[str], project: Path) -> str:
    """
    Return which file declares a setting of a host, such as "group_data/do.py, overrides", or "default".

    + path: its keys, from the outermost
    """
    overrides = host.data.get(OVERRIDES, {})
    if isinstance(overrides, Mapping) and _says(overrides, path):
        return f"{_file(host, OVERRIDES, project)}, {OVERRIDES}"
    if _says(host.data, path):
        return _file(host, path[0], project)
    return DEFAULT


def _file(host: DeclaredHost, key: str, project: Path) -> str:
    name = files.source(
        key, host.data, project=project, environment=host.settings.environment, groups=host.groups
    )
    return OWN if name is None else f"group_data/{name}.py"


def _says(table: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Return whether a table has something to say of a path, or of what is below it."""
    value: Any = table
    for place, key in enumerate(path):
        if not isinstance(value, Mapping):
            return True
        if key not in value:
            # What is whole was declared with all that it is; what it leaves out are defaults.
            return place > 1 and path[place - 2] in WHOLE
        value = value[key]
    return True
