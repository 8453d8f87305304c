"""PostgreSQL: settings and where they come from, who may connect, and the app's own way in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from declared import DeclaredHost
from settings import SecretReference, Settings
from settings.app import App
from settings.service import DatabaseSettings
from tasks import monitoring
from tests.acceptance.remote import Host, Remote, Secret
from tests.acceptance.values import same
from tests.acceptance.view import HostView

METHODS = {"peer", "scram-sha-256", "reject"}


def test_postgresql_starts_at_boot(declared: DeclaredHost, host: Host) -> None:
    """The server runs, and is there after a boot."""
    assert host.service("postgresql").is_enabled
    assert host.service("postgresql").is_running


def test_postgresql_settings_have_their_values(
    declared: DeclaredHost, settings: Settings, view: HostView
) -> None:
    """Every declared setting has its value in the server that runs, and no role or database overrides it."""
    server = view.postgresql()
    found = server["settings"]
    wrong = {
        key: found.get(key.lower(), {}).get("setting")
        for key, value in settings.postgresql.effective().items()
        if key.lower() not in found or not same(value, found[key.lower()])
    }
    assert not wrong
    assert not server["overrides"]


def test_postgresql_settings_come_from_our_file(
    declared: DeclaredHost, settings: Settings, view: HostView
) -> None:
    """Every declared setting comes from our file in conf.d: not from ALTER SYSTEM, not from another file."""
    server = view.postgresql()
    ours = f"{server['conf']}/conf.d/90-"
    # `winner` is the last file that names it. `file` is where the server took it from; it notes none where
    # a value that only counts at its start is what it had anyway.
    wrong = {
        key: (state["winner"], state["file"])
        for key, state in server["settings"].items()
        if not (state["winner"] or "").startswith(ours)
        or not (state["file"] or (ours if state["context"] == "postmaster" else "")).startswith(ours)
    }
    assert not wrong


def test_postgresql_waits_for_no_restart(declared: DeclaredHost, view: HostView) -> None:
    """What its files say is what it does."""
    assert view.postgresql()["waiting"] == []
    assert view.postgresql()["file_errors"] == []


def test_database_access_rules(declared: DeclaredHost, settings: Settings, view: HostView) -> None:
    """Only the declared rules let anybody in, by password or by being postgres; the rest is rejected."""
    server = view.postgresql()
    rules = server["hba"]
    assert [rule for rule in rules if rule["error"]] == []
    assert {rule["method"] for rule in rules} <= METHODS
    assert server["hba_loaded"], "pg_hba.conf is newer than what the server obeys"

    last = rules[-1]
    assert last["method"] == "reject"
    rejected = {(rule["type"], *rule["database"], *rule["role"], rule["address"])
                for rule in rules if rule["method"] == "reject"}  # fmt: skip
    assert {("host", "all", "all", "all"), ("local", "all", "all", None)} <= rejected

    peers = [rule for rule in rules if rule["method"] == "peer"]
    known = {("local", "postgres"), *((row.type, row.role) for row in monitoring.rows(settings))}
    assert {(rule["type"], *rule["role"]) for rule in peers} == known
    assert {_entry(rule) for rule in rules if rule["method"] == "scram-sha-256"} == _declared(settings)


def _entry(rule: dict[str, object]) -> tuple[object, ...]:
    mask = int(ipaddress.ip_address(str(rule["netmask"])))
    network = ipaddress.ip_network(f"{rule['address']}/{mask.bit_count()}")
    databases, roles = rule["database"], rule["role"]
    assert isinstance(databases, list)
    assert isinstance(roles, list)
    return rule["type"], *databases, *roles, str(network)


def _declared(settings: Settings) -> set[tuple[object, ...]]:
    mine = [app.database for app in settings.all_apps() if app.database is not None]
    networks = ("127.0.0.1/32", "::1/128")
    own = {("host", one.database, role, net) for one in mine for role in one.logins for net in networks}
    return own | {
        (row.type, row.database, row.role, str(ipaddress.ip_network(row.network)))
        for row in settings.postgresql.hba
    }


@pytest.fixture
def database(app: App) -> DatabaseSettings:
    """What is declared of the app's database."""
    assert app.database is not None
    return app.database


@pytest.mark.only("database")
def test_role_attributes(
    declared: DeclaredHost, app: App, database: DatabaseSettings, view: HostView
) -> None:
    """The app's role may log in and nothing more, and its password is kept as a SCRAM verifier."""
    assert view.database(app)["role"] == {
        "login": True, "superuser": False, "createdb": False, "createrole": False, "replication": False,
        "bypassrls": False, "connection_limit": database.connection_limit, "scram": True, "expires": False,
        "member_of": [],
    }  # fmt: skip


@pytest.mark.only("database")
def test_database_owner_and_privileges(
    declared: DeclaredHost, app: App, database: DatabaseSettings, view: HostView
) -> None:
    """The owner owns the database, and not everybody connects to it or creates anything in it."""
    found = view.database(app)
    assert found["owner"] == database.owner
    assert found["public_may_connect"] is False
    # Up to 14 everybody may create in public by default; connecting is refused above all the same.
    assert found["public_may_create"] is False or view.postgresql()["version"] < 150000
    assert set(database.extensions) <= set(found["extensions"])


@pytest.fixture
def way_in(remote: Remote, app: App, settings: Settings) -> Iterator[dict[str, object]]:
    """How the app itself connects, through an SSH tunnel; the password apart."""
    assert app.database is not None
    modes = [value for key, value in app.variables.items() if key.endswith("_SSLMODE")]
    with remote.tunnel("127.0.0.1", settings.postgresql.port) as port:
        yield {
            "host": "127.0.0.1", "port": port, "dbname": app.database.database, "user": app.database.role,
            "sslmode": modes[0] if modes else "prefer", "connect_timeout": 5,
        }  # fmt: skip


@pytest.fixture
def password(remote: Remote, app: App) -> Secret:
    """The app's own password, from where it reads it; never shown."""
    assert app.database is not None
    for key, value in app.variables.items():
        if isinstance(value, SecretReference) and value.secret == app.database.password:
            return remote.secret(app.env_file, key)
    for path, file in app.secret_files.items():
        for keys in _keys_of(file.content, app.database.password):
            return remote.secret_in(f"{app.config_root}/{path}", *keys)
    pytest.skip(f"no variable and no file of {app.key} holds the secret {app.database.password}")


def _keys_of(content: dict[str, Any], secret: str) -> Iterator[list[str]]:
    """Find where in a JSON file a secret is."""
    for key, value in content.items():
        if value == {"secret": secret}:
            yield [key]
        elif isinstance(value, dict):
            yield from ([key, *inner] for inner in _keys_of(value, secret))


def _connect(way_in: dict[str, object], password: Secret) -> psycopg.Connection[tuple[object, ...]]:
    __tracebackhide__ = True
    try:
        return psycopg.connect(**way_in, password=password.reveal())  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        # Raised again without its frames: psycopg's own hold the password.
        raise AssertionError(f"{way_in['user']} cannot connect: {error}") from None


@pytest.mark.only("database")
def test_app_credentials_work(
    declared: DeclaredHost, app: App, way_in: dict[str, object], password: Secret
) -> None:
    """The app's own credentials open its database, from where the app itself reads them."""
    with _connect(way_in, password) as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)


@pytest.mark.only("database")
def test_declared_tables_are_there(
    declared: DeclaredHost, app: App, database: DatabaseSettings, remote: Remote
) -> None:
    """Every declared table is in schema public, and the owner owns it."""
    if not database.tables:
        pytest.skip(f"{app.key} declares no tables under database.tables")
    owners = remote.sql(
        "SELECT coalesce(json_object_agg(tablename, tableowner), '{}') FROM pg_tables "
        "WHERE schemaname = 'public'",
        database.database,
    )
    wanted = dict.fromkeys(database.tables, database.owner)
    assert {table: owners.get(table) for table in database.tables} == wanted


@pytest.mark.only("migrations")
def test_migrations_are_applied(
    declared: DeclaredHost, app: App, database: DatabaseSettings, remote: Remote
) -> None:
    """Every migration of the current release is in the database's ledger, with the checksum of its file."""
    done = remote.run("sh", "-c", f"cd {app.root}/current/{app.migrations} && sha256sum -- *.sql")
    assert done.returncode == 0, done.stderr
    files = {name.removesuffix(".sql"): digest for digest, name in map(str.split, done.stdout.splitlines())}
    ledger = remote.sql(
        "SELECT coalesce(json_object_agg(name, sha256), '{}') FROM schema_migrations", database.database
    )
    assert files
    assert {name: ledger.get(name) for name in files} == files


@pytest.mark.only("database")
def test_wrong_password_is_refused(
    declared: DeclaredHost, app: App, way_in: dict[str, object], password: Secret
) -> None:
    """The server asks for the password, and compares it."""
    with pytest.raises(AssertionError, match="password authentication failed"):
        _connect(way_in, Secret(f"{password.reveal()}x"))


@pytest.mark.only("database")
def test_role_reaches_no_other_database(
    declared: DeclaredHost, app: App, way_in: dict[str, object], password: Secret
) -> None:
    """The app's credentials open the app's database and no other."""
    with pytest.raises(AssertionError, match=r"pg_hba\.conf rejects|no pg_hba\.conf entry|permission denied"):
        _connect({**way_in, "dbname": "postgres"}, password)
