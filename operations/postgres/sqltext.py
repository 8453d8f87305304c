"""SQL text from plain values: names, literals, and the settings of a role or a database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from pyinfra.api import OperationError

# PostgreSQL cuts longer names short without an error (NAMEDATALEN - 1).
NAME_BYTES = 63
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*")
CLUSTER = re.compile(r"[0-9]+/[A-Za-z0-9_.][A-Za-z0-9_.-]*")

# Settings that are lists of names, each quoted by itself (GUC_LIST_QUOTE in the server's source).
NAME_LISTS = frozenset({
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
})  # fmt: skip

Value = str | int | float | bool


def check_name(where: str, what: str, value: str) -> None:
    """Refuse what cannot be the name of a role, database, schema or extension."""
    if not value:
        raise OperationError(f"{where}: the name of a {what} is empty; give it one")
    if value.startswith("-"):
        raise OperationError(f"{where}: {what} {value!r} starts with a dash; choose another name")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise OperationError(f"{where}: {what} {value!r} has a control character in it; remove it")
    if len(value.encode()) > NAME_BYTES:
        raise OperationError(
            f"{where}: {what} {value!r} is longer than {NAME_BYTES} bytes,"
            " which PostgreSQL would cut short; shorten it"
        )


def check_cluster(where: str, cluster: str | None) -> None:
    """Refuse what cannot be VERSION/NAME."""
    if cluster is not None and not CLUSTER.fullmatch(cluster):
        raise OperationError(f'{where}: cluster {cluster!r} is not VERSION/NAME; write it like "15/main"')


def check_connection_limit(where: str, limit: int) -> None:
    if limit < -1:
        raise OperationError(f"{where}: connection_limit {limit} is negative; -1 means no limit")


def identifier(value: str) -> str:
    """Quote a name, so that case and every character in it are kept."""
    return '"' + value.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text value, for sessions with standard_conforming_strings on, which ours are."""
    return "'" + value.replace("'", "''") + "'"


def identifiers(values: Iterable[str]) -> str:
    return ", ".join(identifier(value) for value in values)


def grantee(role: str) -> str:
    return "PUBLIC" if role == "PUBLIC" else identifier(role)


def connect(database: str) -> str:
    """Write psql's command to go on in another database, whatever characters its name has."""
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    return "\\connect -reuse-previous=on " + identifier(f"dbname='{value}'")


def transaction(statements: Iterable[str]) -> str:
    """Join statements so that all of them happen or none."""
    return "\n".join(["begin;", *statements, "commit;", ""])


def text(value: Value) -> str:
    """Write a setting's value the way PostgreSQL keeps it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def split_names(value: str) -> list[str]:
    """Read a list of names as PostgreSQL does: commas between, double quotes around, lower case else."""
    names: list[str] = []
    for quoted, plain in re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|$)', value):
        names.append(plain.strip().lower() if plain else quoted.replace('""', '"'))
    return names


Kept = str | list[str]


def kept(setting: str, value: Value | list[str]) -> Kept:
    """Bring a declared or stored value into the form in which two of them can be compared."""
    if setting.lower() in NAME_LISTS:
        return (list(value) or [""]) if isinstance(value, list) else split_names(text(value))
    return ", ".join(value) if isinstance(value, list) else text(value)


def check_settings(where: str, settings: Mapping[str, Value | list[str]]) -> None:
    for setting, value in settings.items():
        if not SETTING.fullmatch(setting):
            raise OperationError(f"{where}: {setting!r} is not the name of a setting; correct it")
        for part in value if isinstance(value, list) else [text(value)]:
            if any(unicodedata.category(character) == "Cc" for character in part):
                raise OperationError(
                    f"{where}: setting {setting} = {part!r} has a control character in it; remove it"
                )


def settings_difference(
    target: str, stored: list[str], wanted: Mapping[str, Value | list[str]] | None
) -> list[str]:
    """
    Write the statements that bring the settings of a role or a database to what is declared.

    + target: what follows ALTER, such as `ROLE "app"`
    + stored: what the catalog has, each as "name=value"
    + wanted: the whole of what it should have; None leaves all as it is
    """
    if wanted is None:
        return []
    now = {}
    for entry in stored:
        setting, value = entry.split("=", 1)
        now[setting.lower()] = kept(setting, value)
    statements = []
    for setting, declared in wanted.items():
        value_wanted = kept(setting, declared)
        if now.pop(setting.lower(), None) == value_wanted:
            continue
        values = value_wanted if isinstance(value_wanted, list) else [value_wanted]
        statements.append(
            f"ALTER {target} SET {_dotted(setting)} TO {', '.join(literal(value) for value in values)};"
        )
    return statements + [f"ALTER {target} RESET {_dotted(setting)};" for setting in now]


def _dotted(setting: str) -> str:
    return ".".join(identifier(part) for part in setting.split("."))
