"""The portfolio in PostgreSQL: loaded at the start, changed in one transaction a signal."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from portfolio_manager import VERSION
from portfolio_manager.book import Book, Position, Signal

Connection = psycopg.Connection[TupleRow]
# A signal is answered within this, or refused because the database is away.
WAIT_SECONDS = 2.0
STATEMENT_SECONDS = 20

READ = """
SELECT cash, symbol, quantity, entry_price
FROM portfolio_state LEFT JOIN portfolio_positions ON closed_at IS NULL
ORDER BY portfolio_positions.id
"""
BEAT = """
INSERT INTO instance_heartbeat (instance, pid, version, started_at, last_seen)
VALUES (%s, %s, %s, to_timestamp(%s), now())
ON CONFLICT (instance) DO UPDATE SET pid = excluded.pid, version = excluded.version,
    started_at = excluded.started_at, last_seen = excluded.last_seen
"""


class Store:
    """
    The database of one instance.

    + database: keyword arguments for psycopg
    + instance: name of this instance
    + started_at: Unix time of its start
    """

    def __init__(self, database: Mapping[str, Any], instance: str, started_at: float) -> None:
        self._me = (instance, os.getpid())
        self._started_at = started_at
        self._how: dict[str, Any] = {
            **database,
            "connect_timeout": 2,
            "application_name": "portfolio_manager",
            "options": f"-c statement_timeout={STATEMENT_SECONDS}s",
        }
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs=self._how,
            min_size=2,
            max_size=6,
            open=False,
            # Costs one round trip, and a connection that died with the server is never handed out.
            check=ConnectionPool.check_connection,
            timeout=WAIT_SECONDS,
            reconnect_timeout=3.0,
        )

    def open(self) -> None:
        """Start to connect, without waiting for it; again is nothing."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close(timeout=1.0)

    def load(self) -> Book:
        """Read cash and open positions as one consistent picture, over a connection of its own."""
        # Not one of the pool's, which would be waited for: an attempt works at once, or is no attempt.
        with psycopg.connect(**self._how) as connection:
            return _read(connection)

    def apply(self, signal: Signal) -> Book:
        """
        Carry a signal out, in one transaction, and return the book after it.

        Raises RefusedError and changes nothing where the book forbids it.
        """
        with self._pool.connection() as connection:
            # Locked: two signals at a time see each other's outcome, whichever process they are in.
            connection.execute("SELECT FROM portfolio_state FOR UPDATE")
            after = _read(connection).after(signal)
            if signal.action == "open":
                connection.execute(
                    "INSERT INTO portfolio_positions (symbol, quantity, entry_price) VALUES (%s, %s, %s)",
                    (signal.symbol, signal.quantity, signal.price),
                )
            else:
                connection.execute(
                    "UPDATE portfolio_positions SET exit_price = %s, closed_at = now() "
                    "WHERE symbol = %s AND closed_at IS NULL",
                    (signal.price, signal.symbol),
                )
            connection.execute("UPDATE portfolio_state SET cash = %s, updated_at = now()", (after.cash,))
        return after

    def lead(self) -> None:
        """Take note that this instance keeps the portfolio now; close what a crash left open."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE leadership_history SET released_at = now(), reason = 'ended without a word' "
                "WHERE instance = %s AND released_at IS NULL",
                self._me[:1],
            )
            connection.execute("INSERT INTO leadership_history (instance, pid) VALUES (%s, %s)", self._me)

    def release(self) -> None:
        """Take note that this instance ends as it was asked to."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE leadership_history SET released_at = now(), reason = 'stopped' "
                "WHERE instance = %s AND pid = %s AND released_at IS NULL",
                self._me,
            )

    def beat(self) -> None:
        """Say that this instance is alive."""
        with self._pool.connection() as connection:
            connection.execute(BEAT, (*self._me, VERSION, self._started_at))


def _read(connection: Connection) -> Book:
    # In one statement: what another transaction commits meanwhile is in it whole, or not at all.
    rows = connection.execute(READ).fetchall()
    if not rows:
        raise psycopg.DataError("portfolio_state is empty; the migrations put its one row there")
    return Book(rows[0][0], {symbol: Position(symbol, *rest) for _, symbol, *rest in rows if symbol})
