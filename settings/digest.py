"""A digest of what is declared for a host, without what an environment declares for itself."""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from settings.load import OVERRIDES
from settings.model import Settings

REQUIRES = "requires_receipt_from"


def digest(settings: Settings, excluded: Iterable[str]) -> str:
    """
    Return a digest of one host's settings.

    + settings: of the host
    + excluded: paths such as "apps.rec_io.variables.REC_ACCOUNT_MODE" that do not count, with all below them

    Example: `digest(settings, own_paths(PROJECT, "staging"))`
    """
    without = tuple(excluded)
    rows = [
        (path, value)
        for path, value in sorted(flat(settings.model_dump(mode="json")).items())
        if not any(path == one or path.startswith(f"{one}.") for one in without)
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def flat(table: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return a table's values by dotted path; an empty table is a value."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        path = f"{place}.{key}" if place else str(key)
        if isinstance(value, Mapping) and value:
            found |= flat(value, path)
        else:
            found[path] = value
    return found


@cache
def own_paths(project: Path, environment: str) -> tuple[str, ...]:
    """
    Return the paths of settings that an environment, or one that asks for its receipts, declares for itself.

    + project: directory that group_data/ is in
    + environment: the one that receipts are made in, such as "staging"

    They are what may differ between the two: the names in their own files of group_data/, and what is in
    their `overrides`.
    """
    found = {"environment"}
    for path in sorted((project / "inventories").glob("*.py")):
        file = project / "group_data" / path.name
        if not file.is_file():
            continue
        data = {key: value for key, value in runpy.run_path(str(file)).items() if not key.startswith("_")}
        if path.stem == environment or data.get(REQUIRES) == environment:
            found |= {key for key in data if key in Settings.model_fields}
            found |= set(flat(data.get(OVERRIDES, {})))
    return tuple(sorted(found))
