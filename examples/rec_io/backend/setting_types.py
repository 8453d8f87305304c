"""What a setting may hold, and how its text becomes a value."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and says what is wanted."""


class Kind(Enum):
    """The kinds of setting."""

    HOST = "a host name or address, without a scheme or port, such as 127.0.0.1"
    PORT = "a whole number from 1 to 65535"
    TEXT = "a text without line breaks"
    SECRET = "a text without line breaks; empty for none"  # noqa: S105 - what it may be, not one
    SSLMODE = "one of disable, allow, prefer, require, verify-ca, verify-full"
    ACCOUNT_MODE = "one of demo, prod"
    OPTIONAL_PATH = "an absolute path"


CHOICES = {
    Kind.SSLMODE: ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    Kind.ACCOUNT_MODE: ("demo", "prod"),
}


def parse(kind: Kind, raw: Any, origin: str) -> Any:
    """Return ``raw`` as a value of ``kind``; ``origin`` is what an error message calls it."""

    def refuse() -> SettingsError:
        shown = "this value" if kind is Kind.SECRET else repr(raw)
        return SettingsError(f"{origin}: {shown} is not usable; give {kind.value}")

    if kind is Kind.PORT:
        return _port(raw, refuse())
    if not isinstance(raw, str) or any(c in raw for c in "\n\r\0"):
        raise refuse()
    if kind is Kind.SECRET:
        return raw
    text = raw.strip()
    if kind is Kind.OPTIONAL_PATH:
        if not text:
            return None
        if not Path(text).is_absolute():
            raise refuse()
        return Path(text)
    if not text or (kind in CHOICES and text not in CHOICES[kind]):
        raise refuse()
    if kind is Kind.HOST and any(c in text for c in "/ @"):
        raise refuse()
    return text


def _port(raw: Any, refusal: SettingsError) -> int:
    if isinstance(raw, str) and raw.strip().isascii() and raw.strip().isdigit():
        raw = int(raw.strip()) if len(raw.strip()) <= 5 else 0
    if not isinstance(raw, int) or isinstance(raw, bool) or not 1 <= raw <= 65535:
        raise refusal
    return raw
