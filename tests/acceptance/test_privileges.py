"""The roles of each app's database, seen from outside: each may do what it needs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from declared import DeclaredHost
from settings import Settings
from settings.app import App
from settings.service import DatabaseSettings
from tests.acceptance.remote import Remote, Secret
from tests.acceptance.view import HostView

pytestmark = pytest.mark.only("database")
Connection = psycopg.Connection[tuple[Any, ...]]
# What a refused statement must not keep others waiting for, should it not be refused.
OPTIONS = "-c lock_timeout=2s -c statement_timeout=30s"


@pytest.fixture
def database(app: App) -> DatabaseSettings:
    """What is declared of the app's database."""
    assert app.database is not None
    return app.database


@pytest.fixture
def login(remote: Remote, app: App, settings: Settings) -> Iterator[Callable[[str, str], Connection]]:
    """Log in as a role with the password that one of the app's secrets is, through an SSH tunnel."""
    assert app.database is not None
    name = app.database.database
    opened: list[Connection] = []
    with remote.tunnel("127.0.0.1", settings.postgresql.port) as port:

        def connect(role: str, secret: str) -> Connection:
            opened.append(_connect(port, name, role, _secret(remote, f"{app.secrets_root}/{secret}")))
            return opened[-1]

        yield connect
        for connection in opened:
            connection.close()


def _secret(remote: Remote, path: str) -> Secret:
    done = remote.run("cat", path)
    if done.returncode != 0:
        raise AssertionError(f"{path} cannot be read: {done.stderr.strip()}")
    return Secret(done.stdout.removesuffix("\n"))


def _connect(port: int, database: str, role: str, password: Secret) -> Connection:
    __tracebackhide__ = True
    try:
        # Each statement is a transaction of its own here; nothing is ever committed by these tests.
        return psycopg.connect(
            host="127.0.0.1", port=port, dbname=database, user=role, password=password.reveal(),
            connect_timeout=5, options=OPTIONS,
        )  # fmt: skip
    except psycopg.OperationalError as error:
        # Raised again without its frames: psycopg's own hold the password.
        raise AssertionError(f"{role} cannot connect: {error}") from None


def allowed(connection: Connection, statements: list[str]) -> list[str]:
    """Return those of the statements that the server does not refuse, and take each back."""
    found = []
    for statement in statements:
        try:
            connection.execute(statement.encode())
        except InsufficientPrivilege:
            pass
        else:
            found.append(statement)
        connection.rollback()
    return found


def writes(table: dict[str, Any]) -> list[str]:
    """Return statements that write a table; EXPLAIN has their privileges checked and does nothing."""
    name, columns, settable = table["table"], table["columns"], table["settable"]
    found = [
        f"EXPLAIN INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {name}",
        f"EXPLAIN DELETE FROM {name}",
    ]
    if settable is not None:
        found.append(f"EXPLAIN UPDATE {name} SET ({settable}) = (SELECT {settable} FROM {name} LIMIT 1)")
    return found


def test_owner_and_reader_are_plain_roles(
    declared: DeclaredHost, app: App, database: DatabaseSettings, view: HostView
) -> None:
    """Owner and reader have no attribute and no membership; who has a password logs in with it."""
    plain = dict.fromkeys(["superuser", "createdb", "createrole", "replication", "bypassrls"], False)
    reads = database.reader_password is not None
    found = view.privileges(app)["roles"]
    assert found[database.owner] == {**plain, "login": True, "scram": True, "member_of": []}
    assert {**found[database.reader], "scram": reads} == {
        **plain, "login": reads, "scram": reads, "member_of": [],
    }  # fmt: skip


def test_nobody_else_may_connect(
    declared: DeclaredHost, app: App, database: DatabaseSettings, view: HostView
) -> None:
    """Of all roles of the server, the app's own and members of its reader may connect to its database."""
    assert set(view.privileges(app)["may_connect"]) == {database.owner, database.role}


def test_app_owns_nothing(
    declared: DeclaredHost, app: App, database: DatabaseSettings, view: HostView
) -> None:
    """Neither the database nor anything in it is the app's role's."""
    assert view.privileges(app)["apps"] == []


def test_app_reads_and_writes(
    declared: DeclaredHost,
    app: App,
    database: DatabaseSettings,
    view: HostView,
    login: Callable[[str, str], Connection],
) -> None:
    """With its own password the app reads, inserts, updates and deletes in every table."""
    tables = view.privileges(app)["tables"]
    migrates = app.migrate is not None or app.migrations is not None
    assert tables or not migrates, "the app's migrations left no table"
    connection = login(database.role, database.password)
    wanted = [one for table in tables for one in (f"SELECT FROM {table['table']} LIMIT 1", *writes(table))]
    assert set(wanted) - set(allowed(connection, wanted)) == set()


def test_app_makes_nothing(
    declared: DeclaredHost,
    app: App,
    database: DatabaseSettings,
    login: Callable[[str, str], Connection],
) -> None:
    """The app makes no table, function or schema, and does not become the owner."""
    connection = login(database.role, database.password)
    statements = [
        "CREATE TABLE public.acceptance (n int)",
        "CREATE FUNCTION public.acceptance() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA acceptance",
        f'SET ROLE "{database.owner}"',
    ]
    if "TEMPORARY" not in database.also:
        statements.append("CREATE TEMPORARY TABLE acceptance (n int)")
    assert allowed(connection, statements) == []


def test_app_drops_and_empties_nothing(
    declared: DeclaredHost,
    app: App,
    database: DatabaseSettings,
    view: HostView,
    login: Callable[[str, str], Connection],
) -> None:
    """The app drops, changes and empties no table."""
    connection = login(database.role, database.password)
    statements = []
    for table in view.privileges(app)["tables"]:
        name = table["table"]
        statements += [f"DROP TABLE {name} CASCADE", f"ALTER TABLE {name} ADD COLUMN acceptance int"]
        if "TRUNCATE" not in database.also:
            statements.append(f"TRUNCATE {name} CASCADE")
    assert allowed(connection, statements) == []


def test_reader_reads_and_writes_nothing(
    declared: DeclaredHost,
    app: App,
    database: DatabaseSettings,
    view: HostView,
    login: Callable[[str, str], Connection],
) -> None:
    """With its own password the reader reads every table, and writes, makes and empties none."""
    if database.reader_password is None:
        pytest.skip(f"{database.reader} has no password, and is there for its members")
    connection = login(database.reader, database.reader_password)
    tables = view.privileges(app)["tables"]
    reads = [f"SELECT FROM {table['table']} LIMIT 1" for table in tables]
    assert set(reads) - set(allowed(connection, reads)) == set()
    refused = [one for table in tables for one in (*writes(table), f"TRUNCATE {table['table']}")]
    refused += ["CREATE TABLE public.acceptance (n int)", "CREATE TEMPORARY TABLE acceptance (n int)"]
    assert allowed(connection, refused) == []


def test_owner_password_is_in_no_process(
    declared: DeclaredHost, app: App, database: DatabaseSettings, remote: Remote
) -> None:
    """No process of the host has the owner's password in its environment or its command line."""
    about = {"secret": f"{app.secrets_root}/{database.owner_password}"}
    assert remote.look("environs.py", about)["found"] == []
