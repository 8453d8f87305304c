"""The main loop: recover, beat, recover again when the database was away, and end cleanly."""

from __future__ import annotations

import logging
import os
import threading
import time

import psycopg

from portfolio_manager import VERSION, logs
from portfolio_manager.portfolio import Portfolio
from portfolio_manager.problems import why
from portfolio_manager.settings import SettingsError, load
from portfolio_manager.store import Store
from portfolio_manager.web import Server

BEAT_SECONDS = 1.0
RETRY_SECONDS = 0.25
# Longer than a statement may take: then nothing in flight is ever cut.
DRAIN_SECONDS = 25.0
STALE_SECONDS = 5.0


class Loop:
    """What the main thread does between start and stop."""

    def __init__(self, store: Store, portfolio: Portfolio, log: logging.Logger) -> None:
        self._store, self._portfolio, self._log = store, portfolio, log
        self._leads = False
        self._beaten: float | None = None
        self._problem: str | None = None

    def database(self) -> str:
        """Return "ok", or why the database is not usable: as of the last heartbeat."""
        if self._problem is not None:
            return self._problem
        if self._beaten is None or time.monotonic() - self._beaten > STALE_SECONDS:
            return "no answer yet"
        return "ok"

    def tick(self) -> float:
        """Recover where that is due, and beat; return how long to wait."""
        try:
            if not self._portfolio.ready:
                self._portfolio.recover()
                # Only now: its connections would compete with the one that recovers.
                self._store.open()
            if not self._leads:
                self._store.lead()
                self._leads = True
            self._store.beat()
        except psycopg.Error as problem:
            reason = why(problem)
            if self._problem is None:
                self._log.warning("waiting for the database: %s", reason)
            # Not its own words on a page that others may read.
            self._problem = "schema missing" if "schema" in reason else "unreachable"
            return RETRY_SECONDS
        if self._problem is not None:
            self._log.info("the database is back")
        self._problem, self._beaten = None, time.monotonic()
        return BEAT_SECONDS


def run(stop: threading.Event) -> int:
    """Run until `stop` is set; return 0, or 2 if a setting is not usable."""
    log = logs.configure()
    try:
        settings = load()
        store = Store(settings.database, settings.instance, time.time())
        portfolio = Portfolio(store, settings.maintenance_flag, log)
        loop = Loop(store, portfolio, log)
        server = Server(settings.bind_host, settings.port, portfolio, loop.database)
    except SettingsError as problem:
        log.error("cannot start: %s", problem)
        return 2
    server.start()
    log.info("started, version %s, pid %d, port %d", VERSION, os.getpid(), settings.port)
    while not stop.is_set():
        stop.wait(loop.tick())
    drained = portfolio.drain(DRAIN_SECONDS)
    server.shutdown()
    try:
        store.release()
    except psycopg.Error as problem:
        log.info("could not take leave of the database: %s", why(problem))
    store.close()
    log.info("stopped, %s", "nothing was in flight" if drained else "with signals still in flight")
    return 0
