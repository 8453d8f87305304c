"""A small PostgreSQL pool that outlives restarts of the server."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from backend.settings import Settings

Connection = psycopg.Connection[TupleRow]

WAIT_SECONDS = 1.2
# Short, so that the pool's growing pauses between attempts start again from one second.
RECONNECT_SECONDS = 3.0
# A connection that answered just now is not asked whether it is there.
TRUSTED_SECONDS = 1.0


def connection_arguments(settings: Settings, service: str) -> dict[str, Any]:
    """Return the keyword arguments for psycopg; empty ones are left to libpq."""
    return {
        "host": settings.db_host,
        "port": settings.db_port,
        "dbname": settings.db_name,
        "user": settings.db_user,
        "password": settings.db_pass or None,
        "sslmode": settings.db_sslmode,
        "connect_timeout": 2,
        "application_name": f"rec_io {service}",
    }


class _LastWarning(logging.Handler):
    """Keep what the pool last warned of: its own exceptions say that nothing came, but not why."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        first = (record.getMessage().strip().splitlines() or [""])[0]
        if first.startswith("error connecting"):
            self.text = first.partition(": ")[2]


class Database:
    """The pool of one service."""

    def __init__(self, settings: Settings, service: str, *, max_size: int) -> None:
        self._why = _LastWarning()
        self._answered = float("-inf")
        pool_log = logging.getLogger("psycopg.pool")
        pool_log.addHandler(self._why)
        # The service loop says once that the database is away; not the pool, at each attempt.
        pool_log.propagate = False
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs={**connection_arguments(settings, service), "autocommit": True},
            min_size=1,
            max_size=max_size,
            open=False,
            # Costs one round trip, and a connection that died with the server is never handed out.
            check=self._check,
            timeout=WAIT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            num_workers=1,
            name=service,
        )

    def open(self) -> None:
        """Start to connect, without waiting for it."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close(timeout=0.5)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in a transaction: committed at the end, rolled back on an exception."""
        with self._pool.connection() as connection, connection.transaction():
            yield connection
        self._answered = time.monotonic()

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """Give a connection for one statement, a transaction by itself: one round trip, not three."""
        with self._pool.connection() as connection:
            yield connection
        self._answered = time.monotonic()

    def _check(self, connection: Connection) -> None:
        if time.monotonic() - self._answered > TRUSTED_SECONDS:
            ConnectionPool.check_connection(connection)

    def why(self, problem: psycopg.Error) -> str:
        """Return in one line why a statement did not get through."""
        if isinstance(problem, PoolTimeout) and self._why.text:
            return self._why.text
        return (str(problem).strip().splitlines() or [type(problem).__name__])[0]

    def state(self) -> str:
        """Return ``ok``, or why the database cannot be used now."""
        try:
            with self.statement() as connection:
                row = connection.execute("SELECT to_regclass('service_heartbeat') IS NOT NULL").fetchone()
        except psycopg.Error:
            return "unreachable"
        return "ok" if row is not None and row[0] else "schema missing: run python -m backend.migrate"
