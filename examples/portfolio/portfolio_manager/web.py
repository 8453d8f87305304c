"""The web side: GET /health and POST /signal."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from portfolio_manager import VERSION
from portfolio_manager.book import RefusedError, read_signal
from portfolio_manager.portfolio import Portfolio, UnavailableError
from portfolio_manager.settings import SettingsError

LARGEST_BODY = 64 * 1024


class Server(ThreadingHTTPServer):
    """A web server in threads; the main thread keeps the signals of the system."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, portfolio: Portfolio, database: Callable[[], str]) -> None:
        self.portfolio = portfolio
        self.database = database
        try:
            super().__init__((host, port), Handler)
        except OSError as problem:
            raise SettingsError(
                f"PM_BIND_HOST and PM_PORT: cannot listen on {host} port {port}: {problem.strerror}"
            ) from None

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="web", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Take note of what went wrong with one request; a client that went away is nothing."""
        logging.getLogger("portfolio_manager").info("a request was cut off", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answer one connection."""

    protocol_version = "HTTP/1.1"
    server_version = f"portfolio_manager/{VERSION}"
    sys_version = ""
    timeout = 15
    server: Server

    def do_GET(self) -> None:
        """Answer /health: 200 when positions are known and the database answers, otherwise 503."""
        if self.path != "/health":
            return self._answer(404, {"detail": "there are GET /health and POST /signal"})
        content = self.server.portfolio.health(self.server.database())
        return self._answer(200 if content["status"] == "healthy" else 503, content)

    def do_POST(self) -> None:
        """Answer /signal: 200 done, 400 not a signal, 409 the book forbids it, 503 not now."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            return self._answer(413 if length else 411, {"detail": f"send at most {LARGEST_BODY} bytes"})
        body = self.rfile.read(int(length))
        if self.path != "/signal":
            return self._answer(404, {"detail": "there are GET /health and POST /signal"})
        try:
            signal = read_signal(json.loads(body))
        except RefusedError as problem:
            return self._answer(400, {"detail": str(problem)})
        except (ValueError, RecursionError):
            return self._answer(400, {"detail": "the body is not JSON"})
        try:
            book = self.server.portfolio.signal(signal)
        except RefusedError as problem:
            return self._answer(409, {"detail": str(problem)})
        except UnavailableError as problem:
            return self._answer(503, {"detail": str(problem)})
        return self._answer(
            200, {"detail": f"{signal.action} {signal.symbol}", "positions": len(book.positions)}
        )

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_arguments: Any) -> None:
        """Say nothing of single requests."""
