"""The web side of a service: its own thread, its routes, and /health."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from email.utils import formatdate
from typing import Any

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import VERSION
from backend.service import Context, Service
from backend.setting_types import SettingsError
from backend.settings import PREFIX
from backend.trade_rules import RefusedError


def listen(service: Service, context: Context) -> socket.socket:
    """Take the service's port, or say in words of the settings why that is not possible."""
    host = getattr(context.settings, service.host)
    port = getattr(context.settings, str(service.port))
    variables = f"{PREFIX}{service.host.upper()} and {PREFIX}{str(service.port).upper()}"
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as problem:
        raise SettingsError(f"{variables}: cannot listen on {host} port {port}: {problem.strerror}") from None
    return listener


def health(context: Context) -> tuple[int, dict[str, Any]]:
    """Return the status code and content of /health.

    200 needs the database now; a service that works through ticks also needs one that succeeded lately.
    """
    database = context.db.state()
    well = database == "ok" and context.fresh()
    content = {
        "status": "healthy" if well else "unhealthy",
        "service": context.name,
        "version": VERSION,
        "database": database,
        "working": context.fresh(),
        "pid": os.getpid(),
        "uptime_seconds": round(time.time() - context.started_at, 1),
    }
    return (200 if well else 503), content


def _database_away(_request: Request, _problem: Exception) -> JSONResponse:
    return JSONResponse({"detail": "the database is not ready; try again"}, status_code=503)


def _refused(_request: Request, problem: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(problem)}, status_code=400)


def _gone(_request: Request, _problem: Exception) -> Response:
    """Answer nobody: who asked hung up, as a service does that is restarted or has waited long enough."""
    return Response(status_code=400)


def _dated(app: ASGIApp) -> ASGIApp:
    """Write the date of an answer when it is made."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", []), date]}
            await send(message)

        await app(scope, receive, dated)

    return wrapped


class _Server(uvicorn.Server):
    """uvicorn's server, which looks ten times a second whether it is to end; this one is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end."""
        self._loop = asyncio.get_running_loop()
        while not self.should_exit:
            await self._told.wait()

    def end(self) -> None:
        """Have it end, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._told.set)


class WebServer:
    """A web server in a thread of its own; the main thread keeps the signals and the ticks."""

    def __init__(self, service: Service, context: Context) -> None:
        def answer_health(_request: Request) -> JSONResponse:
            status, content = health(context)
            return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})

        routes = [Route("/health", answer_health)]
        if service.routes is not None:
            routes += service.routes(context)
        handlers: dict[Any, Any] = {
            psycopg.OperationalError: _database_away,
            psycopg.InterfaceError: _database_away,
            psycopg.errors.UndefinedTable: _database_away,
            RefusedError: _refused,
            ClientDisconnect: _gone,
        }
        app = Starlette(routes=routes, exception_handlers=handlers)
        self._socket = listen(service, context)
        config = uvicorn.Config(
            _dated(app),
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,
            date_header=False,  # `_dated` writes it
            timeout_keep_alive=30,  # longer than the others wait between two questions
            server_header=False,
            loop="asyncio",
            http="h11",
            ws="none",
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish what is being answered, for up to a second."""
        self._server.end()
        self._thread.join(timeout=1.2)
