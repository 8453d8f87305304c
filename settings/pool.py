"""Settings of an app's connection pool."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from settings.types import Model, Port


class PoolSettings(Model):
    """
    A pgbouncer of the app's own between it and its database, on 127.0.0.1 alone.

    + port: where it listens, default 6432
    + mode: "session" (default), in which everything works as without it, or "transaction", which shares each
      connection more, and needs an app that keeps nothing in its session: docs/database.md
    + size: connections to the server at most, default 20; who comes beyond waits
    + clients: connections to the pool at most, default 200
    """

    port: Port = 6432
    mode: Literal["session", "transaction"] = "session"
    size: Annotated[int, Field(ge=1, le=1000)] = 20
    clients: Annotated[int, Field(ge=1, le=10000)] = 200
