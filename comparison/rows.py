"""Where several tables differ: of settings or of facts, of one host or many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from settings.secret_files import is_reference


class Absent(Enum):
    """What a table has at a path where it has nothing: not the same as None."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Cell:
    """
    What one host has.

    + value: in the shape of JSON, fit to be shown; ABSENT where it has none
    + source: which file declares it; None for facts
    """

    value: Any
    source: str | None = None


@dataclass(frozen=True)
class Row:
    """
    One thing in which hosts differ.

    + role: of the hosts, "" where there is but one
    + path: its keys, from the outermost
    + left, right: host to what it has
    """

    role: str
    path: tuple[str, ...]
    left: Mapping[str, Cell]
    right: Mapping[str, Cell]

    @property
    def name(self) -> str:
        """Its path as people write it."""
        return ".".join(self.path)


@dataclass
class Found:
    """
    Where tables differ, and how many of their values are the same.

    + different: path to what each table has there, in their order
    + same: count of paths
    """

    different: dict[tuple[str, ...], list[Any]] = field(default_factory=dict)
    same: int = 0


def differences(tables: Sequence[Any]) -> Found:
    """
    Return where tables differ.

    + tables: nested as deep as they may be

    What is a table in all of them is gone into; where it is none in one of them, such as None, or is not
    there, it differs as a whole. Lists are values.
    """
    found = Found()
    _descend((), tables, found)
    return found


def _descend(path: tuple[str, ...], values: Sequence[Any], found: Found) -> None:
    if all(isinstance(one, Mapping) and not is_reference(one) for one in values):
        for key in dict.fromkeys(str(key) for one in values for key in one):
            _descend((*path, key), [one.get(key, ABSENT) for one in values], found)
    elif len({alike(one) for one in values}) > 1:
        found.different[path] = list(values)
    else:
        found.same += 1


def alike(value: Any) -> str:
    """Return a text that two values have in common if they are the same."""
    return "" if value is ABSENT else json.dumps(value, sort_keys=True, default=str)


def grouped(cells: Mapping[str, Cell]) -> list[tuple[list[str], Cell]]:
    """Return the hosts of one side, together where they have the same from the same file."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for name, cell in cells.items():
        groups.setdefault((alike(cell.value), cell.source), []).append(name)
    return [(names, cells[names[0]]) for names in groups.values()]
