"""What hosts are made of and what runs on them, asked of all at once, and where they differ."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
    "python3.[0-9]", "python3.[0-9][0-9]", "supervisor",
]  # fmt: skip
# What is told of a server and of an app's release where others have none.
VERSION, RELEASE = "version", "release"
ORDER = ("system", "postgresql", "playbook", "apps")


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


class Facts(NamedTuple):
    """A table of facts, and whose it is: of a host of the left or of the right."""

    left: bool
    host: str
    table: dict[str, Any]


def compared(
    pair: Pair, left: Mapping[str, Surveyed], right: Mapping[str, Surveyed]
) -> tuple[list[Row], int, list[Row], int]:
    """
    Return the facts in which hosts of a pair differ, how many are the same, and both of packages.

    + left, right: host to what it said, of both sides

    Hosts that said nothing are left out; where nobody is left on one side, nothing is compared. So it is for
    what only some have, such as a server: of the others is told that they have none, and no more.
    """
    sides = ((True, pair.left, left), (False, pair.right, right))
    told = [
        (here, host.name, said[host.name])
        for here, hosts, said in sides
        for host in hosts
        if said[host.name].answered
    ]
    rows, same = [], 0
    for above, tables in kinds([Facts(here, name, one.facts) for here, name, one in told]).items():
        found, count = _rows(pair.role, above, tables)
        rows += found
        same += count
    rows.sort(key=lambda row: ORDER.index(row.path[0]))
    packages = [Facts(here, name, one.packages) for here, name, one in told]
    return rows, same, *_rows(pair.role, ("packages",), packages)


def _rows(role: str, above: tuple[str, ...], tables: Sequence[Facts]) -> tuple[list[Row], int]:
    if len({one.left for one in tables}) < 2:
        return [], 0
    found = differences([one.table for one in tables])
    rows = []
    for path, values in found.different.items():
        both: tuple[dict[str, Cell], dict[str, Cell]] = ({}, {})
        for one, value in zip(tables, values, strict=True):
            both[0 if one.left else 1][one.host] = Cell(value)
        rows.append(Row(role, (*above, *path), *both))
    return rows, found.same


def kinds(facts: Sequence[Facts]) -> dict[tuple[str, ...], list[Facts]]:
    """
    Return what is compared of some hosts' facts: path to the tables there, of those hosts that have them.

    Of PostgreSQL's settings they are those that any of the hosts changed.
    """
    found: dict[tuple[str, ...], list[Facts]] = {(): []}
    changed = {
        name for one in facts for name in (one.table["postgresql"] or {"changed": []})["changed"] or []
    }
    for one in facts:
        server, apps = one.table["postgresql"], one.table["apps"]
        chief = {
            "postgresql": {VERSION: server[VERSION]} if server else {},
            "apps": {app: {RELEASE: about[RELEASE]} if about else {} for app, about in apps.items()},
        }
        found[()].append(one._replace(table={**one.table, **chief}))
        if server:
            settings = {name: value for name, value in server["settings"].items() if name in changed}
            rest = {key: value for key, value in server.items() if key not in (VERSION, "changed")}
            more = one._replace(table={**rest, "settings": settings})
            found.setdefault(("postgresql",), []).append(more)
        for app, about in apps.items():
            if about:
                rest = {key: value for key, value in about.items() if key != RELEASE}
                found.setdefault(("apps", app), []).append(one._replace(table=rest))
    return found
