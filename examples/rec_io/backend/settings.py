"""Settings: environment over ``config.local.json`` over ``config.default.json``.

``python -m backend.settings`` prints each value and the layer it came from.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.setting_types import Kind, SettingsError, parse

APP_DIR = Path(__file__).resolve().parent.parent
PREFIX = "REC_"
CONFIG_DIR = f"{PREFIX}CONFIG_DIR"
DEFAULT_FILE = "config.default.json"
LOCAL_FILE = "config.local.json"

KINDS: dict[str, Kind] = {
    "bind_host": Kind.HOST,
    "target_host": Kind.HOST,
    "main_port": Kind.PORT,
    "trade_manager_port": Kind.PORT,
    "trade_executor_port": Kind.PORT,
    "active_trade_supervisor_port": Kind.PORT,
    "db_host": Kind.TEXT,
    "db_port": Kind.PORT,
    "db_name": Kind.TEXT,
    "db_user": Kind.TEXT,
    "db_pass": Kind.SECRET,
    "db_sslmode": Kind.SSLMODE,
    "account_mode": Kind.ACCOUNT_MODE,
    "credentials_path": Kind.OPTIONAL_PATH,
    "log_dir": Kind.OPTIONAL_PATH,
    "data_dir": Kind.OPTIONAL_PATH,
}
SERVICE_PORTS = ("main_port", "trade_manager_port", "trade_executor_port", "active_trade_supervisor_port")


@dataclass(frozen=True)
class Settings:
    """All settings of one process, and where each came from."""

    bind_host: str
    target_host: str
    main_port: int
    trade_manager_port: int
    trade_executor_port: int
    active_trade_supervisor_port: int
    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_sslmode: str
    account_mode: str
    credentials_path: Path | None
    log_dir: Path
    data_dir: Path
    db_pass: str = field(repr=False)
    sources: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)


def read_layer(path: Path, *, required: bool) -> dict[str, Any]:
    """Return the object in a configuration file; a missing optional file is an empty layer."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise SettingsError(f"{path}: not found; it belongs to the application's own files") from None
        return {}
    except OSError as problem:
        raise SettingsError(f"{path}: cannot be read: {problem.strerror}") from None
    except ValueError as problem:
        raise SettingsError(f"{path}: not valid JSON: {problem}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must hold one JSON object, not a {type(content).__name__}")
    return content


def load(environ: Mapping[str, str] | None = None, app_dir: Path = APP_DIR) -> Settings:
    """Merge the three layers, check every value, and return the settings.

    + environ: the environment to read; default this process's own
    + app_dir: where config.default.json is, and config.local.json unless REC_CONFIG_DIR says otherwise

    Raises SettingsError, naming the variable or the file and key, for the first value that is not usable.
    """
    env = os.environ if environ is None else environ
    config_dir = parse(Kind.OPTIONAL_PATH, env.get(CONFIG_DIR, ""), CONFIG_DIR) or app_dir
    if not config_dir.is_dir():
        raise SettingsError(f"{CONFIG_DIR}: {config_dir} is not a directory; create it or unset the variable")
    default_path, local_path = app_dir / DEFAULT_FILE, config_dir / LOCAL_FILE
    default, local = read_layer(default_path, required=True), read_layer(local_path, required=False)
    _check_default_layer(default, default_path)

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, kind in KINDS.items():
        variable = PREFIX + key.upper()
        if variable in env:
            raw, origin, sources[key] = env[variable], variable, "environment"
        elif key in local:
            raw, origin, sources[key] = local[key], f"{local_path}: {key}", LOCAL_FILE
        elif key in default:
            raw, origin, sources[key] = default[key], f"{default_path}: {key}", DEFAULT_FILE
        elif kind in (Kind.SECRET, Kind.OPTIONAL_PATH):
            raw, origin, sources[key] = "", variable, "built in"
        else:
            raise SettingsError(f"{variable}: not set, and not in {local_path} or {default_path} either")
        values[key] = parse(kind, raw, origin)
    values["log_dir"] = values["log_dir"] or app_dir / "logs"
    values["data_dir"] = values["data_dir"] or app_dir / "backend" / "data"
    _check_ports(values)
    return Settings(**values, sources=sources, warnings=tuple(_unknown(env, local, local_path)))


def _check_default_layer(default: Mapping[str, Any], path: Path) -> None:
    for key in default:
        if key not in KINDS:
            raise SettingsError(f"{path}: unknown key {key}{_hint(key, list(KINDS))}")
    if default.get("db_pass"):
        raise SettingsError(f"{path}: db_pass must not be in a tracked file; set {PREFIX}DB_PASS")


def _check_ports(values: Mapping[str, Any]) -> None:
    seen: dict[int, str] = {}
    for key in SERVICE_PORTS:
        other = seen.setdefault(values[key], key)
        if other != key:
            both = f"{PREFIX}{other.upper()} and {PREFIX}{key.upper()}"
            raise SettingsError(f"{both}: both are port {values[key]}; give each service its own")


def _unknown(env: Mapping[str, str], local: Mapping[str, Any], local_path: Path) -> list[str]:
    # Told, not refused: after a step back to an older release there may be names only the newer one knows.
    variables = [PREFIX + key.upper() for key in KINDS]
    known = {*variables, CONFIG_DIR}
    odd = [v for v in env if v.startswith(PREFIX) and v not in known]
    told = [f"{v}: unknown variable{_hint(v, variables)}" for v in odd]
    return told + [f"{local_path}: unknown key {k}{_hint(k, list(KINDS))}" for k in local if k not in KINDS]


def _hint(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def main() -> int:
    """Print each setting with its layer, the password hidden; 2 if the settings are not usable."""
    try:
        settings = load()
    except SettingsError as problem:
        print(f"settings: {problem}", file=sys.stderr)
        return 2
    for key in KINDS:
        value = getattr(settings, key)
        shown = ("(set)" if value else "(not set)") if key == "db_pass" else value
        print(f"{key:30} {settings.sources[key]:20} {shown}")
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
