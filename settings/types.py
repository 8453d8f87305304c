"""The small types that all settings are made of, each with the words to say when a value is wrong."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Model(BaseModel):
    """Base of all settings: a misspelled key is an error, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def absolute(value: str) -> str:
    """Return an absolute path; raise ValueError for any other."""
    if not value.startswith("/"):
        raise ValueError(f"is relative; write the absolute path, such as '/{value.removeprefix('./')}'")
    # Paths go unquoted into units, fstab and INI files: only what none of them treats specially.
    if not re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", value):
        raise ValueError("is not a usable path; use letters, digits and ._- between the slashes, no '..'")
    return value


def inside(value: str) -> str:
    """Return a path within a directory; raise ValueError for any other."""
    if value.startswith("/"):
        raise ValueError("is absolute; write it relative to the app's directory, without the leading '/'")
    parts = value.split("/")
    if {"", ".", ".."} & set(parts) or not re.fullmatch(r"[A-Za-z0-9._/-]+", value):
        raise ValueError(
            "is not a usable path; use letters, digits and ._- between the slashes, no '.' or '..'"
        )
    return value


def _file_pattern(value: str) -> str:
    inside(re.sub(r"[]*?[!]", "x", value))
    if value.startswith("!"):
        raise ValueError("begins with '!'; name the files that belong to it, not those that do not")
    return value


def pattern(expression: str, remedy: str) -> AfterValidator:
    """Return a validator for texts that match as a whole; the remedy is what is said of others."""

    def check(value: str) -> str:
        if not re.fullmatch(expression, value):
            raise ValueError(remedy)
        return value

    return AfterValidator(check)


def printable(value: str) -> str:
    """Return a text of one line; raise ValueError for line breaks and other control characters."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("has a line break or another control character; write one line of text")
    return value


def _list_to_tuple(value: object) -> object:
    # People write lists; frozen settings keep tuples.
    return tuple(value) if isinstance(value, list) else value


AbsolutePath = Annotated[str, AfterValidator(absolute)]
InnerPath = Annotated[str, AfterValidator(inside)]
FilePattern = Annotated[str, AfterValidator(_file_pattern)]
Line = Annotated[str, AfterValidator(printable)]
Size = Annotated[
    str, pattern(r"[1-9]\d{0,5}[MGT]", "is not a size; write a number and M, G or T, such as '2G'")
]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Slug = Annotated[
    str,
    pattern(
        r"[a-z][a-z0-9_]{0,30}",
        "is not a name that files, units and users can share; use a-z, 0-9 and _, beginning with a letter, "
        "31 characters at most",
    ),
]
EnvironmentName = Annotated[
    str,
    pattern(r"[a-z][a-z0-9_-]{0,30}", "is not the name of an inventory; use a-z, 0-9, _ and -"),
]
ExtensionName = Annotated[
    str, pattern(r"[a-z][a-z0-9_-]{0,62}", "is not a PostgreSQL extension; write it like 'pg_trgm'")
]
VariableName = Annotated[
    str,
    pattern(r"[A-Z_][A-Z0-9_]*", "is not an environment variable; use A-Z, 0-9 and _, such as 'REC_DB_HOST'"),
]
PackageName = Annotated[
    str, pattern(r"[a-z0-9][a-z0-9+.-]+", "is not a Debian package name; use a-z, 0-9 and +.-")
]
ReceiptKey = Annotated[
    str,
    pattern(
        r"ed25519:[A-Za-z0-9+/]{43}=",
        "is not a public key of receipts; its owner sees it with: python -m receipts key",
    ),
]
AsTuple = BeforeValidator(_list_to_tuple)
