"""Commands as settings have them: text that is split into words, or the words."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from settings.types import AsTuple, Line


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"cannot be split into words ({error}); close the quote, or write a list") from None


def _command(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not value[0].strip():
        raise ValueError("is empty: a service needs a command, such as 'python -m my_app.web'")
    if "/" in value[0] and not value[0].startswith("/"):
        raise ValueError(
            f"begins with {value[0]!r}; write a program of the virtual environment, or an absolute path"
        )
    return value


Command = Annotated[tuple[Line, ...], AsTuple, BeforeValidator(_words), AfterValidator(_command)]
