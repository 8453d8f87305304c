"""An app's connection pool: the app's own way in, its limits, and nobody else's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import psycopg
import pytest

from declared import DeclaredHost
from operations import pgbouncer
from settings import Settings
from settings.app import App
from tests.acceptance import test_database
from tests.acceptance.remote import Host, Remote, Secret
from tests.acceptance.view import HostView

password = test_database.password


@pytest.fixture
def through_the_pool(remote: Remote, app: App) -> Iterator[dict[str, object]]:
    """How the app itself connects by its pool, through an SSH tunnel; the password apart."""
    assert app.database is not None
    assert app.database.pool is not None
    with remote.tunnel("127.0.0.1", app.database.pool.port) as port:
        yield {
            "host": "127.0.0.1", "port": port, "dbname": app.database.database, "user": app.database.role,
            "sslmode": "prefer", "connect_timeout": 5,
        }  # fmt: skip


@pytest.mark.only("pool")
def test_pool_runs_and_starts_at_boot(declared: DeclaredHost, app: App, host: Host) -> None:
    """The pool's own unit runs, and the package's instance does not."""
    unit = host.service(pgbouncer.unit_of(app.key).removesuffix(".service"))
    assert unit.is_running
    assert unit.is_enabled
    assert not host.service("pgbouncer").is_running


@pytest.mark.only("pool")
def test_pool_takes_the_apps_credentials(
    declared: DeclaredHost,
    app: App,
    settings: Settings,
    through_the_pool: dict[str, object],
    password: Secret,
) -> None:
    """The app's role and password lead through the pool to the app's database on the declared server."""
    with test_database._connect(through_the_pool, password) as connection:
        row = connection.execute("SELECT current_user, current_database(), inet_server_port()").fetchone()
    assert app.database is not None
    assert row == (app.database.role, app.database.database, settings.postgresql.port)


@pytest.mark.only("pool")
def test_pool_refuses_a_wrong_password(
    declared: DeclaredHost, app: App, through_the_pool: dict[str, object], password: Secret
) -> None:
    """The pool asks for the password, and knows of no other database."""
    with pytest.raises(AssertionError, match="authentication failed"):
        test_database._connect(through_the_pool, Secret(f"{password.reveal()}x"))
    with pytest.raises(AssertionError, match="no such database"):
        test_database._connect({**through_the_pool, "dbname": "postgres"}, password)


@pytest.mark.only("pool")
def test_pool_listens_on_loopback_alone(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Nobody reaches the pool from another machine, whatever the firewall says."""
    assert app.pool is not None
    mine = [
        (address, who)
        for protocol, address, port, who in view.listeners()
        if protocol == "tcp" and port == app.pool.port
    ]
    assert mine, f"nothing listens on port {app.pool.port}"
    assert all("pgbouncer" in who for _, who in mine), mine
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in mine), mine


@pytest.mark.only("pool")
def test_pool_has_the_declared_limits(
    declared: DeclaredHost, app: App, through_the_pool: dict[str, object], password: Secret
) -> None:
    """What the running pool says of itself is what is declared."""
    assert app.pool is not None
    console = {**through_the_pool, "dbname": "pgbouncer"}
    try:
        with psycopg.connect(
            **console,  # type: ignore[arg-type]
            password=password.reveal(),
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        ) as connection:
            shown = {str(row[0]): str(row[1]) for row in connection.execute("SHOW CONFIG").fetchall()}
    except psycopg.Error as error:
        raise AssertionError(f"the pool's console does not answer: {error}") from None
    wanted = {
        "pool_mode": app.pool.mode,
        "default_pool_size": str(app.pool.size),
        "max_db_connections": str(app.pool.size),
        "max_client_conn": str(app.pool.clients),
        "listen_addr": "127.0.0.1",
        "listen_port": str(app.pool.port),
    }
    assert {name: shown.get(name) for name in wanted} == wanted


@pytest.mark.only("pool")
def test_pool_keeps_no_password(declared: DeclaredHost, app: App, remote: Remote, password: Secret) -> None:
    """Its files have the server's verifier and not the password, and nobody else may read them."""
    for path in pgbouncer.files_of(app.key):
        done = remote.run("stat", "-c", "%U %G %a", path)
        assert done.stdout.split() == ["root", app.service_user, "640"]
        text = remote.run("cat", path).stdout
        # Not `in`: an assertion would show the password that it looked for.
        assert text.count(password.reveal()) == 0
    assert app.database is not None
    kept = remote.sql(
        "SELECT to_json(rolpassword) FROM pg_authid WHERE rolname = :'about'::json #>> '{}'",
        "postgres",
        app.database.role,
    )
    same = text == f'"{app.database.role}" "{kept}"\n'
    assert same, "the pool's verifier is another one than the server's"
