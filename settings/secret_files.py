"""JSON files of an app that hold secrets: declared without them, written on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import field_validator

from settings.secrets import SECRET_NAMES, SecretReference
from settings.types import InnerPath, Model

# The words of SECRET_NAMES as JSON writes them: "password", "apiKey", "api-key".
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]")


class SecretFileSettings(Model):
    """
    One JSON file in the app's configuration directory.

    + content: the object as it is to be, with {"secret": NAME} in the place of each secret
    + example: JSON file in the source that must have exactly the same keys, default none
    """

    content: dict[str, Any]
    example: InnerPath | None = None

    @field_validator("content")
    @classmethod
    def _plain_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise ValueError("is empty; give it the keys that the app reads")
        _check(value, "content")
        return value

    def secrets(self) -> list[str]:
        """Return the names of the secrets that it needs."""
        return list(_references(self.content))


def is_reference(value: object) -> bool:
    """Return whether a value stands for a secret."""
    return isinstance(value, dict) and value.keys() == {"secret"}


def keys_of(content: dict[str, Any], place: str = "") -> set[str]:
    """Return the keys of a JSON object, those of inner objects as "outer.inner"."""
    found: set[str] = set()
    for key, value in content.items():
        if isinstance(value, dict) and not is_reference(value):
            found |= keys_of(value, f"{place}{key}.")
        else:
            found.add(f"{place}{key}")
    return found


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if is_reference(value):
            yield value["secret"]
        else:
            for one in value.values():
                yield from _references(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _references(one)


def _check(value: object, place: str) -> None:
    if isinstance(value, dict):
        if is_reference(value):
            SecretReference.model_validate(value)
            return
        for key, one in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{place}: the key {key!r} is not text; JSON has no others")
            words = _BEFORE_CAPITAL.sub("_", key).upper()
            if SECRET_NAMES.search(words) and not isinstance(one, dict):
                raise ValueError(f"{place}.{key} is a secret by its name; write {{'secret': NAME}}")
            _check(one, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for one in value:
            _check(one, place)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(f"{place} is a {type(value).__name__}, which JSON has not; write text or a number")
