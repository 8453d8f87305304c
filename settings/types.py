"""The small types that all settings are made of, each with the words to say when a value is wrong."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Model(BaseModel):
    """Base of all settings: a misspelled key is an error, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"is relative; write the absolute path, such as '/{value.removeprefix('./')}'")
    return _clean(value)


def _clean(value: str) -> str:
    if ".." in value.split("/"):
        raise ValueError("contains '..'; write the path itself")
    if not re.fullmatch(r"[\w@%+=:,./ -]+", value):
        raise ValueError("has characters that no path here needs; use letters, digits and ._-/")
    return value.rstrip("/") or "/"


def _inside(value: str) -> str:
    if value.startswith("/"):
        raise ValueError("is absolute; write it relative to the app's directory, without the leading '/'")
    return _clean(value)


def _pattern(pattern: str, remedy: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(remedy)
        return value

    return AfterValidator(check)


def _no_newline(value: str) -> str:
    if "\n" in value or "\0" in value:
        raise ValueError("has a line break or a NUL; write one line")
    return value


def _list_to_tuple(value: object) -> object:
    # People write lists; frozen settings keep tuples.
    return tuple(value) if isinstance(value, list) else value


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
InnerPath = Annotated[str, AfterValidator(_inside)]
Line = Annotated[str, AfterValidator(_no_newline)]
Size = Annotated[str, _pattern(r"[1-9]\d*[MGT]", "is not a size; write a number and M, G or T, such as '2G'")]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Slug = Annotated[
    str,
    _pattern(
        r"[a-z][a-z0-9_]{0,30}",
        "is not a name that files, units and users can share; use a-z, 0-9 and _, beginning with a letter, "
        "31 characters at most",
    ),
]
UserName = Annotated[
    str,
    _pattern(r"[a-z_][a-z0-9_-]{0,30}", "is not a user name; use a-z, 0-9, _ and -, beginning with a letter"),
]
RoleName = Annotated[
    str, _pattern(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}", "is not a PostgreSQL name; use letters, digits and _")
]
VariableName = Annotated[
    str,
    _pattern(
        r"[A-Z_][A-Z0-9_]*", "is not an environment variable; use A-Z, 0-9 and _, such as 'REC_DB_HOST'"
    ),
]
PackageName = Annotated[
    str, _pattern(r"[a-z0-9][a-z0-9+.-]+", "is not a Debian package name; use a-z, 0-9 and +.-")
]
AsTuple = BeforeValidator(_list_to_tuple)
