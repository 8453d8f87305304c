"""The two sides of a comparison, and which hosts of one stand for which of the other."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError

import declared
from declared import DeclaredHost


class ComparisonError(PyinfraError):
    """The two cannot be compared; the text says what to do."""


@dataclass(frozen=True)
class Side:
    """
    One inventory.

    + inventory: as given on the command line
    + hosts: that it has
    """

    inventory: str
    hosts: list[DeclaredHost]

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.hosts[0].settings.environment

    def roles(self) -> dict[str, list[DeclaredHost]]:
        """Return the hosts by what they are among the others."""
        found: dict[str, list[DeclaredHost]] = {}
        for host in self.hosts:
            found.setdefault(host.role, []).append(host)
        return found


@dataclass(frozen=True)
class Pair:
    """
    Hosts of both sides that stand for each other.

    + role: that they have, "" for hosts without a group
    """

    role: str
    left: list[DeclaredHost]
    right: list[DeclaredHost]


@dataclass(frozen=True)
class Alone:
    """
    Hosts whose role nobody has on the other side.

    + side: name of their environment
    """

    side: str
    role: str
    hosts: list[str]


def read(left: str, right: str) -> tuple[Side, Side]:
    """
    Read two inventories; no host is connected to.

    Raises ComparisonError, InventoryError, SettingsError.
    """
    if Path(left).resolve() == Path(right).resolve():
        raise ComparisonError(
            f"{left} is given twice, and never differs from itself; name two inventories, such as "
            "inventories/staging.py inventories/do.py (of what differs from group_data/ tells drift.py)"
        )
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(declared.read, (left, right))
    sides = Side(left, first), Side(right, second)
    if sides[0].name == sides[1].name:
        raise ComparisonError(
            f"{left} and {right} are both of environment {sides[0].name!r}; name two environments, such as "
            "inventories/staging.py inventories/do.py"
        )
    return sides


def paired(left: Side, right: Side) -> tuple[list[Pair], list[Alone]]:
    """
    Return which hosts stand for each other, and those that stand for none.

    Hosts with the same role do; and where each side has a single role, all do, whatever it is called.
    """
    mine, other = left.roles(), right.roles()
    if len(mine) == len(other) == 1:
        return [Pair("", left.hosts, right.hosts)], []
    pairs = [Pair(role, mine[role], other[role]) for role in mine if role in other]
    alone = [*_alone(left, set(other)), *_alone(right, set(mine))]
    return pairs, alone


def _alone(side: Side, others: Iterable[str]) -> list[Alone]:
    return [
        Alone(side.name, role, [host.name for host in hosts])
        for role, hosts in side.roles().items()
        if role not in others
    ]
