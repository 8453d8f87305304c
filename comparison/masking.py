"""What may be shown of a value: never a secret, nor what looks like one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from settings.secret_files import is_reference
from settings.secrets import SECRET_NAMES

MASKED = "***"
# The words of SECRET_NAMES as JSON and PostgreSQL write them: "password", "apiKey", "api-key".
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]")
# Tables whose keys are names of secrets, or of what is made of them: they say where it comes from.
_SOURCES = {"secrets", "s3"}
_OF_A_SOURCE = {"source", "length", "variable", "file", "key"}
# Settings that name a secret of `secrets`, and hold none.
_NAMING = {"password", "owner_password", "reader_password"}
# PostgreSQL's own, which may hold a password or a command that tells one.
_OF_POSTGRESQL = re.compile(r"CONNINFO|PASSPHRASE")
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_WORD = r"(?:pass(?:word|wd|phrase)?|secret|token|dsn|api[_-]?key|private[_-]?key)"
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|\S+)"
_IN_WORDS = re.compile(rf"(?i)({_WORD}\s*[=:]\s*|--?[\w-]*{_WORD}\s+){_VALUE}")
_FLAG = re.compile(rf"(?i)--?[\w-]*{_WORD}")


def shown(path: Sequence[str], value: Any) -> Any:
    """
    Return what may be shown of a setting, in the shape of JSON.

    + path: its keys, from the outermost
    + value: as declared; a reference to a secret stays one
    """
    if is_reference(value):
        return dict(value)
    if _is_secret(path) and value is not None:
        return MASKED
    if isinstance(value, Mapping):
        return {key: shown([*path, key], one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_word(path, before, one) for before, one in zip([None, *value], value, strict=False)]
    if isinstance(value, str):
        if "config_files" in path[:-1]:
            # A whole file, which nobody has looked into.
            return f"{MASKED} ({len(value)} characters)"
        return _IN_WORDS.sub(rf"\1{MASKED}", _IN_ADDRESS.sub(rf"\1{MASKED}@", value))
    return value


def _word(path: Sequence[str], before: Any, value: Any) -> Any:
    """Return what may be shown of one in a list, such as what follows `--password` in a command."""
    if isinstance(before, str) and isinstance(value, str) and _FLAG.fullmatch(before):
        return MASKED
    return shown(path, value)


def _is_secret(path: Sequence[str]) -> bool:
    for place, key in enumerate(path):
        words = _BEFORE_CAPITAL.sub("_", key).upper()
        if not SECRET_NAMES.search(words) and not _OF_POSTGRESQL.search(words):
            continue
        above, below = path[:place], path[place + 1 :]
        if above and above[-1] in _SOURCES and (not below or below[0] in _OF_A_SOURCE):
            continue
        if above and above[-1] == "database" and key in _NAMING:
            continue
        return True
    return False
