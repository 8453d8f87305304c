"""The loop that every service shares: act, beat, log, wait; ride out a database that is away."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from backend import logs
from backend.client import TargetError
from backend.db import Database
from backend.outage import Outage
from backend.setting_types import SettingsError
from backend.settings import Settings, load

if TYPE_CHECKING:
    from starlette.routing import Route

# How often a service acts. Twelve of them that act each second take a quarter of a core, on machines of one.
EVERY_SECONDS = 10.0
# What failed is tried again sooner: a database that restarts is away for a moment.
RETRY_SECONDS = 1.0
FRESH_SECONDS = 30.0
BEAT = """
INSERT INTO service_heartbeat (service, pid, started_at, last_seen, ticks, detail)
VALUES (%s, %s, to_timestamp(%s), now(), %s, %s)
ON CONFLICT (service) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at,
    last_seen = excluded.last_seen, ticks = excluded.ticks, detail = excluded.detail
"""


@dataclass
class Context:
    """What a service works with, and how it is doing."""

    name: str
    settings: Settings
    log: logging.Logger
    db: Database
    ticks: int = 0
    started_at: float = field(default_factory=time.time)
    last_good: float | None = None
    good_since: float | None = None

    def good(self) -> None:
        """Take note of a tick that succeeded."""
        self.last_good = time.monotonic()
        if self.good_since is None:
            self.good_since = self.last_good

    def fresh(self) -> bool:
        """Whether a tick succeeded in the last seconds."""
        return self.last_good is not None and time.monotonic() - self.last_good < FRESH_SECONDS


@dataclass(frozen=True)
class Service:
    """One service: what it does at each tick, how often, and the web routes it answers.

    + tick: does the work and returns one line that says what it did
    + every: seconds between ticks that succeed
    + log_every: log one of so many ticks
    + port, host: the settings that say where to listen; port None for a service without a web side
    + routes: makes the web routes besides /health
    """

    name: str
    tick: Callable[[Context], str]
    every: float = EVERY_SECONDS
    log_every: int = 1
    port: str | None = None
    host: str = "target_host"
    routes: Callable[[Context], list[Route]] | None = None


def run(service: Service, stop: threading.Event) -> int:
    """Run ``service`` until ``stop`` is set; return 0, 1 if it broke, or 2 if its settings are not usable."""
    log = logs.configure(service.name)
    try:
        settings = load()
        context = Context(service.name, settings, log, Database(settings, service.name, max_size=3))
        web = None
        if service.port is not None:
            from backend.web import WebServer  # only where it is needed: it is a third of the memory

            web = WebServer(service, context)
    except SettingsError as problem:
        log.error("cannot start: %s", problem)
        return 2
    for warning in settings.warnings:
        log.warning("%s", warning)
    context.db.open()
    if web is not None:
        web.start()
    log.info("started, pid %d, %s account", os.getpid(), settings.account_mode)
    outage = Outage(log)
    while not stop.is_set():
        begun = time.monotonic()
        worked = _tick(service, context, outage)
        if web is not None and not web.alive():
            log.error("the web server ended by itself")
            return 1
        pause = service.every if worked else min(service.every, RETRY_SECONDS)
        stop.wait(max(0.05, pause - (time.monotonic() - begun)))
    if web is not None:
        web.stop()
    context.db.close()
    log.info("stopped after %d ticks", context.ticks)
    return 0


def _tick(service: Service, context: Context, outage: Outage) -> bool:
    worked = False
    try:
        detail = service.tick(context)
        _beat(context, detail)
    except psycopg.errors.UndefinedTable:
        outage.failed("the database schema is not there; run python -m backend.migrate")
    except psycopg.OperationalError as problem:
        outage.failed(f"database: {context.db.why(problem)}")
    except psycopg.Error as problem:
        # Not an outage: a schema or a right that is not as this release wants it. It may be under way.
        outage.failed(f"database refused: {context.db.why(problem)}", logging.ERROR)
    except TargetError as problem:
        outage.failed(str(problem))
        _beat_alone(context, str(problem))
    except OSError as problem:
        # A full disk: without rows and files this service does nothing of use, but it may well pass.
        outage.failed(f"file: {problem}; look at REC_DATA_DIR and the disk", logging.ERROR)
    else:
        worked = True
        outage.over()
        context.good()
        if context.ticks % service.log_every == 0:
            context.log.info("tick %d: %s", context.ticks, detail)
    if not worked:
        context.good_since = None
    context.ticks += 1
    return worked


def _beat(context: Context, detail: str) -> None:
    with context.db.statement() as connection:
        connection.execute(BEAT, (context.name, os.getpid(), context.started_at, context.ticks, detail[:200]))


def _beat_alone(context: Context, detail: str) -> None:
    try:
        _beat(context, f"waiting: {detail}")
    except psycopg.Error:
        context.log.info("and no heartbeat: the database is away too")
