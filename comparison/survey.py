"""What hosts are made of and what runs on them, asked of all at once, and where they differ."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import asking
from asking import Answer
from comparison.rows import Cell, Row, differences
from comparison.sides import Pair, Side
from declared import DeclaredHost
from facts import script
from tasks.machine import packages_of

PROGRAM = "survey.py"
# What comes with the packages that are asked for, and decides more than they do.
PATTERNS = [
    "libpq5", "openssh-server", "openssl", "pgbouncer", "postgresql-[0-9]*", "postgresql-client-[0-9]*",
    "python3.[0-9]*", "supervisor",
]  # fmt: skip
# Where a host has nothing of a kind, only this is told of those that have.
CHIEF = {"postgresql": "version", "apps": "release"}


@dataclass(frozen=True)
class Surveyed:
    """
    What one host said.

    + facts: nested by kind; "settings" of "postgresql" are all of the server's
    + packages: name to version, of those that are to be there
    + problems: what could not be known
    """

    facts: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        """Whether it could be asked at all."""
        return bool(self.facts)


def of(*sides: Side) -> list[dict[str, Surveyed]]:
    """
    Ask all hosts of some sides at once, in one round trip each, and change nothing there.

    A host that cannot be asked is there with the reason among its problems.
    """
    packages = sorted({one for side in sides for host in side.hosts for one in packages_of(host.settings)})
    # What may be secret is told by a digest that nobody can guess it from.
    salt = secrets.token_hex(16)
    with ThreadPoolExecutor(len(sides)) as pool:
        return list(pool.map(lambda side: _asked(side.hosts, packages, salt), sides))


def _asked(hosts: Sequence[DeclaredHost], packages: list[str], salt: str) -> dict[str, Surveyed]:
    answers = asking.ask(hosts, PROGRAM, lambda host: [json.dumps(about(host, packages, salt))])
    return {name: parsed(answer) for name, answer in answers.items()}


def about(host: DeclaredHost, packages: Sequence[str], salt: str) -> dict[str, Any]:
    """Return what the host's program is told; no secret is in it."""
    apps = host.settings.all_apps()
    return {
        "port": host.settings.postgresql.port,
        "packages": list(packages),
        "patterns": PATTERNS,
        "ledger": script.text("migrations-ledger.sql"),
        "salt": salt,
        "apps": {
            app.key: {"root": app.root, "database": app.database.database if app.database else None}
            for app in apps
        },
    }


def parsed(answer: Answer) -> Surveyed:
    """Return what a host said."""
    if answer.problem is not None:
        return Surveyed(problems=[answer.problem])
    try:
        return Surveyed(**json.loads(answer.said))
    except (ValueError, TypeError) as error:
        return Surveyed(problems=[f"what it said of itself cannot be read: {error}"])


def compared(
    pair: Pair, left: Mapping[str, Surveyed], right: Mapping[str, Surveyed]
) -> tuple[list[Row], int, list[Row], int]:
    """
    Return the facts in which hosts of a pair differ, how many are the same, and both of packages.

    + left, right: host to what it said, of both sides

    Hosts that said nothing are left out; where nobody is left on one side, nothing is compared.
    """
    mine = {host.name: left[host.name] for host in pair.left if left[host.name].answered}
    other = {host.name: right[host.name] for host in pair.right if right[host.name].answered}
    if not mine or not other:
        return [], 0, [], 0
    both = [*mine.values(), *other.values()]
    names = [list(mine), list(other)]
    facts, same = _rows(pair.role, (), alike_in_kind([one.facts for one in both]), names)
    packages, same_packages = _rows(pair.role, ("packages",), [one.packages for one in both], names)
    return facts, same, packages, same_packages


def _rows(
    role: str, above: tuple[str, ...], tables: list[dict[str, Any]], names: list[list[str]]
) -> tuple[list[Row], int]:
    found = differences(tables)
    rows, split = [], len(names[0])
    for path, values in found.different.items():
        cells = [Cell(value) for value in values]
        sides = (zip(names[0], cells[:split], strict=True), zip(names[1], cells[split:], strict=True))
        rows.append(Row(role, (*above, *path), *map(dict, sides)))
    return rows, found.same


def alike_in_kind(facts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return the facts of some hosts in a shape in which they can be compared.

    Of PostgreSQL's settings those that any of them changed; of a kind that one of them has nothing of, such
    as an app without a release, what the others have of it in one word.
    """
    servers = [one.get("postgresql") or {} for one in facts]
    changed = {name for one in servers for name in one.get("changed") or []}
    made = []
    for one, server in zip(facts, servers, strict=True):
        settings = {key: value for key, value in (server.get("settings") or {}).items() if key in changed}
        kept = {key: value for key, value in server.items() if key not in ("settings", "changed")}
        made.append({**one, "postgresql": {**kept, "settings": settings} if server else {}})
    if not all(servers):
        made = [{**one, "postgresql": _chief("postgresql", one["postgresql"])} for one in made]
    for app in dict.fromkeys(app for one in made for app in one["apps"]):
        if not all(one["apps"].get(app) for one in made):
            made = [
                {**one, "apps": {**one["apps"], app: _chief("apps", one["apps"].get(app))}} for one in made
            ]
    return made


def _chief(kind: str, table: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (table or {}).items() if key == CHIEF[kind]}
