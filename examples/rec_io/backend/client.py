"""Speak JSON with another service of the application, over one connection that stays open."""

from __future__ import annotations

import functools
import http.client
import json
from typing import Any

TIMEOUT_SECONDS = 1.2


class TargetError(Exception):
    """The other service does not answer, or not as it should."""


class Client:
    """A line to ``trade_manager``, for one thread."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._where = f"trade_manager at {host}:{port}"

    def get(self, path: str) -> Any:
        """Return the JSON answer to a GET."""
        return self._send("GET", path, None)

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """Return the JSON answer to a POST of ``content``; None for 409, the trade has moved on."""
        return self._send("POST", path, json.dumps(content).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer, text = self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as problem:
            why = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
            raise TargetError(f"{self._where} does not answer: {why}") from problem
        if answer.status == 409:
            return None
        if answer.status >= 400:
            raise TargetError(f"{self._where} answered {answer.status} to {method} {path}")
        try:
            return json.loads(text)
        except ValueError as problem:
            raise TargetError(f"{self._where} did not answer {method} {path} with JSON") from problem

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        reused = self._connection.sock is not None
        try:
            self._connection.request(method, path, body=body, headers=headers)
            answer = self._connection.getresponse()
            return answer, answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            # The server closes a line that was idle for some seconds: open a new one, once. Sending twice is
            # harmless: trade_manager knows an order by its request_id and a trade's step by its status.
            if reused and isinstance(problem, ConnectionError):
                return self._exchange(method, path, body, headers)
            raise


@functools.cache
def trade_manager(host: str, port: int) -> Client:
    """Return this process's line to ``trade_manager``."""
    return Client(host, port)
