"""One error for everything that is wrong with the data, in words that name the value and the remedy."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError
from pyinfra.api.exceptions import PyinfraError

HIDDEN = {"secrets", "variables", "config_files", "secret_files"}


class SettingsError(PyinfraError):
    """
    Raised before any host is touched; its text lists every finding, a line each.

    A PyinfraError, because pyinfra shows those as they are, without a traceback, and exits with 1.
    """

    def __init__(self, where: str, findings: list[str]) -> None:
        self.findings = findings
        count = "1 setting is wrong" if len(findings) == 1 else f"{len(findings)} settings are wrong"
        lines = "\n".join(f"  - {finding}" for finding in findings)
        super().__init__(f"{where}: {count}; no host was touched\n{lines}")


def findings_of(error: ValidationError, model_fields: dict[str, list[str]]) -> list[str]:
    """
    Turn pydantic's error into lines such as "apps.rec_io.services.web.port: 99999 ...".

    + error: what pydantic raised
    + model_fields: known keys by dotted place ("" for the top level), to suggest what was meant

    Values where somebody may have written a password are never shown.
    """
    return [_finding(item, model_fields) for item in error.errors(include_url=False)]


def _finding(item: Any, model_fields: dict[str, list[str]]) -> str:
    place = [str(part) for part in item["loc"]]
    dotted = ".".join(place)
    if item["type"] == "extra_forbidden":
        return f"{dotted}: there is no such setting{_suggestion(place, model_fields)}"
    if item["type"] == "missing":
        return f"{dotted}: is missing; set it in group_data/"
    message = str(item["msg"]).removeprefix("Value error, ")
    if HIDDEN.intersection(place):
        return f"{dotted}: {message}"
    value = item["input"]
    # A whole table as the value would bury the message that is about one line of it.
    shown = "" if isinstance(value, dict | list) and len(repr(value)) > 80 else f"{value!r}: "
    return f"{dotted}: {shown}{message}" if dotted else message


def _suggestion(place: list[str], model_fields: dict[str, list[str]]) -> str:
    for known in (fields for pattern, fields in model_fields.items() if _matches(pattern, place[:-1])):
        close = difflib.get_close_matches(place[-1], known, n=1)
        if close:
            return f"; did you mean {close[0]!r}?"
        return f"; known here: {', '.join(sorted(known))}"
    return ""


def _matches(pattern: str, place: list[str]) -> bool:
    parts = pattern.split(".") if pattern else []
    return len(parts) == len(place) and all(
        want in ("*", got) for want, got in zip(parts, place, strict=True)
    )
