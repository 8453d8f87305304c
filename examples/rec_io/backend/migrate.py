"""Bring the database schema up to date: ``python -m backend.migrate [--dry]``.

Each file of migrations/ runs once, in order, in a transaction of its own. Exit codes: 0 done or nothing to
do, 1 a migration failed and was rolled back, 2 bad usage or settings, 3 the files were refused, 4 no database
or no lock.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import psycopg
from psycopg.pq import TransactionStatus

from backend.db import Connection, connection_arguments
from backend.migration_files import Migration, MigrationError, pending, read
from backend.setting_types import SettingsError
from backend.settings import APP_DIR, load

LOCK_KEY = 0x5245435F494F  # "REC_IO"
LOCK_SECONDS = 60.0
LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class LockBusyError(Exception):
    """Another run holds the lock."""


def applied(connection: Connection) -> dict[str, str]:
    """Return name → sha256 of what this database has had; changes nothing."""
    row = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return {}
    return dict(connection.execute("SELECT name, sha256 FROM schema_migrations").fetchall())


def take_lock(connection: Connection, seconds: float = LOCK_SECONDS) -> None:
    """Wait until no other run is at work; the lock ends with the connection, however that ends."""
    deadline = time.monotonic() + seconds
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise LockBusyError(f"another migration run holds the lock since {seconds:g} s; look in pg_locks")
        time.sleep(0.2)


def apply(connection: Connection, migration: Migration) -> None:
    """Run one migration and note it, both or neither."""
    with connection.transaction():
        connection.execute(migration.sql)
        if connection.info.transaction_status != TransactionStatus.INTRANS:
            raise MigrationError(
                f"{migration.name}: ended its own transaction; remove its COMMIT or ROLLBACK"
            )
        connection.execute(
            "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", (migration.name, migration.sha256)
        )


def migrate(connection: Connection, migrations: list[Migration], *, dry: bool) -> None:
    """Run, or with ``dry`` only print, what is pending."""
    if not dry:
        take_lock(connection)
    todo = pending(migrations, applied(connection))
    if not todo:
        print("no pending migrations")
        return
    if dry:
        for migration in todo:
            print(f"pending: {migration.name}")
        return
    connection.execute(LEDGER)
    for migration in todo:
        begun = time.monotonic()
        try:
            apply(connection, migration)
        except psycopg.Error as problem:
            raise MigrationError(f"failed and rolled back: {migration.name}: {problem}") from problem
        print(f"applied: {migration.name} ({time.monotonic() - begun:.2f} s)")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser("python -m backend.migrate", description="Bring the schema up to date.")
    parser.add_argument("--dry", action="store_true", help="show what is pending and change nothing")
    parser.add_argument("--directory", type=Path, default=APP_DIR / "migrations", help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        arguments = connection_arguments(load(), "migrate")
        migrations = read(options.directory)
        with psycopg.connect(**arguments, autocommit=True) as connection:
            migrate(connection, migrations, dry=options.dry)
    except SettingsError as problem:
        return _stop(2, problem)
    except MigrationError as problem:
        return _stop(1 if isinstance(problem.__cause__, psycopg.Error) else 3, problem)
    except (psycopg.OperationalError, LockBusyError) as problem:
        return _stop(4, problem)
    return 0


def _stop(code: int, problem: Exception) -> int:
    print(f"migrate: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
