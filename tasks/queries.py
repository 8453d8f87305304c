"""What costs time in the databases of a host's apps, for people."""

from __future__ import annotations

import time

import click
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from facts.postgres import Queries
from facts.postgres.queries import QueriesFields, Statement
from settings import Settings

LINES = 10


class QueriesError(PyinfraError):
    """Raised for a number of lines that is none."""


def show(host: Host, settings: Settings) -> None:
    """Print what was found in each app's database; `--data lines=30` for longer lists."""
    wanted = str(host.data.get("lines") or LINES)
    if not wanted.isdigit() or not 1 <= int(wanted) <= 1000:
        raise QueriesError(f"lines is {wanted!r}; write a number, such as --data lines=30")
    databases = [app.database.database for app in settings.all_apps() if app.database is not None]
    found = host.get_fact(
        Queries, databases=databases, lines=int(wanted), cluster=settings.postgresql.cluster
    )
    lines = [line for database in databases for line in of_database(database, found.get(database))]
    said = lines or ["no app of this host has a database"]
    click.echo("\n".join([click.style(host.name, bold=True), *(f"  {line}" for line in said), ""]))


def of_database(database: str, found: QueriesFields | None) -> list[str]:
    """Return the lines of one database."""
    if found is None:
        return [f"{database}: is not there, or its server does not run; pg_lsclusters says which"]
    since = time.strftime("%Y-%m-%d %H:%M", time.gmtime(found["since"]))
    return [
        f"{database}, counted since {since} UTC:",
        *(f"  {line}" for part in (_statements, _tables, _indexes) for line in part(found)),
    ]


def size(count: int) -> str:
    """Return a size in MiB."""
    return f"{count / 2**20:.1f} MiB"


def statement(one: Statement) -> str:
    """Return one statement's line, as wide as its heading."""
    pages = one["hit"] + one["read"]
    cache = f"{100 * one['hit'] / pages:.0f}" if pages else "-"
    total, mean = one["total_exec_time"] / 1000, one["total_exec_time"] / max(1, one["calls"])
    return f"{total:10.1f} {mean:10.2f} {one['calls']:10d} {one['rows']:12d} {cache:>6}  {one['query']}"


def _statements(found: QueriesFields) -> list[str]:
    if found["statements"] is None:
        return ["statements are not counted: set postgresql.statements = True and deploy"]
    if not found["statements"]:
        return ["no statement was counted yet"]
    heading = f"{'total s':>10} {'mean ms':>10} {'calls':>10} {'rows':>12} {'cache%':>6}  statement"
    return ["slowest statements, all calls together:", heading, *map(statement, found["statements"])]


def _tables(found: QueriesFields) -> list[str]:
    if not found["tables"]:
        return ["no large table is read from beginning to end"]
    lines = [
        f"  {one['name']}  {size(one['size'])}, {one['seq_scan']} times, {one['seq_tup_read']} rows read;"
        f" by an index {one['idx_scan']} times"
        for one in found["tables"]
    ]
    return ["large tables that were read from beginning to end (an index may be missing):", *lines]


def _indexes(found: QueriesFields) -> list[str]:
    lines = [
        f"invalid index {name}: the next deploy makes it again, if declared" for name in found["invalid"]
    ]
    for same in found["duplicate"]:
        kept, *others = same["names"]
        lines.append(f"{', '.join(others)} on {same['table_name']} is {kept} again, {size(same['size'])}")
    lines += [
        f"unused index {one['name']} on {one['table_name']}, {size(one['size'])}" for one in found["unused"]
    ]
    return lines or ["no index is unused, invalid or there twice"]
