"""The running portfolio: the book in memory, signals in flight, maintenance; safe to use from threads."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from portfolio_manager.book import Book, Signal
from portfolio_manager.problems import why


class Keeper(Protocol):
    """What keeps the book: PostgreSQL, or a stand-in for it in tests."""

    def load(self) -> Book: ...
    def apply(self, signal: Signal) -> Book: ...


class UnavailableError(Exception):
    """No signal is taken now; the message says why."""


class Portfolio:
    """
    The state that all requests share.

    + store: what keeps the book
    + flag: file whose presence means maintenance, or None
    """

    def __init__(self, store: Keeper, flag: Path | None, log: logging.Logger) -> None:
        self._store = store
        self._flag = flag
        self._log = log
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._in_flight = 0
        self._book: Book | None = None
        self._stopping = False

    def recover(self) -> None:
        """Load the open positions from the database; raise psycopg.Error while it is away."""
        with self._one_at_a_time:
            begun = time.perf_counter()
            book = self._store.load()
            self._keep(book)
            milliseconds = math.ceil((time.perf_counter() - begun) * 1000)
        self._log.info("Recovery successful: loaded %d positions in %dms", len(book.positions), milliseconds)

    @property
    def ready(self) -> bool:
        """Whether the book in memory is known to be the one in the database."""
        with self._lock:
            return self._book is not None

    @property
    def maintenance(self) -> bool:
        """Whether the flag is there."""
        return self._flag is not None and self._flag.exists()

    def signal(self, signal: Signal) -> Book:
        """
        Carry out a signal.

        Raises UnavailableError in maintenance, while stopping and while the database is away; RefusedError.
        """
        with self._flight():
            # Counted before it looks: who sees the flag set and nothing in flight may rely on it.
            if self.maintenance:
                raise UnavailableError("maintenance: no new signals are taken; try again later")
            with self._one_at_a_time:
                if not self.ready:
                    raise UnavailableError("the portfolio is not recovered yet; try again")
                try:
                    book = self._store.apply(signal)
                except psycopg.Error as problem:
                    # Whether it was committed is not known: nothing is taken until the book was read again.
                    self._keep(None)
                    self._log.warning("signal not confirmed: %s", why(problem))
                    raise UnavailableError(
                        "the database did not confirm it; look before you repeat"
                    ) from None
                self._keep(book)
                return book

    def drain(self, seconds: float) -> bool:
        """Take no more signals, wait for those in flight; return whether all of them ended in time."""
        with self._idle:
            self._stopping = True
            return self._idle.wait_for(lambda: self._in_flight == 0, timeout=seconds)

    def health(self, database: str) -> dict[str, Any]:
        """Return the content of /health; `database` is "ok" or what is wrong with it."""
        maintenance = self.maintenance  # before the count, see `signal`
        with self._lock:
            book, in_flight = self._book, self._in_flight
        return {
            "status": "healthy" if book is not None and database == "ok" else "unhealthy",
            "positions": len(book.positions) if book is not None else None,
            "risk_percent": float(book.risk_percent) if book is not None else None,
            "equity": float(book.equity) if book is not None else None,
            "database": database,
            "maintenance": maintenance,
            "in_flight": in_flight,
        }

    def _keep(self, book: Book | None) -> None:
        with self._lock:
            self._book = book

    @contextmanager
    def _flight(self) -> Iterator[None]:
        with self._lock:
            if self._stopping:
                raise UnavailableError("stopping: no new signals are taken; try again soon")
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()
