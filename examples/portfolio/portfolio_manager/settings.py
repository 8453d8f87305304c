"""Settings: a few environment variables, and one JSON file with the database's address and credentials."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX = "PM_"
DATABASE_KEYS: dict[str, type] = {"host": str, "port": int, "database": str, "user": str, "password": str}


class SettingsError(Exception):
    """A setting that is not usable; the message names it and the remedy."""


@dataclass(frozen=True)
class Settings:
    """
    Everything that is set from outside.

    + database: keyword arguments for psycopg
    + maintenance_flag: file whose presence means maintenance, or None
    + bind_host, port: where the web interface listens
    + instance: name of this instance in the database
    """

    database: Mapping[str, Any] = field(repr=False)
    maintenance_flag: Path | None
    bind_host: str
    port: int
    instance: str


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment and the database's file; raise SettingsError for the first unusable value."""
    path = environ.get("PM_CONFIG", "")
    if not path:
        raise SettingsError("PM_CONFIG: not set; name the JSON file with the database's credentials")
    port = environ.get("PM_PORT", "5100")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"PM_PORT: {port!r} is not a port; write a number from 1 to 65535")
    flag = environ.get("PM_MAINTENANCE_FLAG", "")
    return Settings(
        database=read_database(Path(path)),
        maintenance_flag=Path(flag) if flag else None,
        bind_host=environ.get("PM_BIND_HOST", "127.0.0.1"),
        port=int(port),
        instance=environ.get("PM_INSTANCE") or socket.gethostname(),
    )


def read_database(path: Path) -> dict[str, Any]:
    """Read the database's file and return keyword arguments for psycopg."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(f"PM_CONFIG: {path} cannot be read: {problem.strerror}") from None
    except ValueError:
        # Its own words would quote what stands there.
        raise SettingsError(f"PM_CONFIG: {path} is not valid JSON") from None
    if not isinstance(content, dict):
        raise SettingsError(f"PM_CONFIG: {path} must hold one JSON object")
    for key, kind in DATABASE_KEYS.items():
        if key not in content:
            raise SettingsError(f"PM_CONFIG: {path} has no {key!r}; see database_config.example.json")
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise SettingsError(f"PM_CONFIG: {path}: {key!r} must be a {kind.__name__}")
    unknown = sorted(content.keys() - DATABASE_KEYS)
    if unknown:
        raise SettingsError(f"PM_CONFIG: {path}: unknown key {unknown[0]!r}")
    return {"dbname" if key == "database" else key: content[key] for key in DATABASE_KEYS}
