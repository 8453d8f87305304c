"""A digest of what is declared for a host, without what its environment declares for itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from settings import files
from settings.load import OVERRIDES, of_settings

ENVIRONMENT, REQUIRES = "environment", "requires_receipt_from"
# Of a table: what says where a host's neighbours are, as its own address does, and not what it is.
OF_THE_NETWORK = {"monitoring": ("listen", "asked_by", "targets")}


def digest(data: Mapping[str, Any], *, project: Path, environment: str, groups: Sequence[str]) -> str:
    """
    Return a digest of what a host shares with those of other environments.

    + data: of the host, as pyinfra merged it
    + project: directory that group_data/ is in
    + environment: of its inventory
    + groups: that the host is in, in pyinfra's order

    Where the environment's own file sets or overrides something, what stands there without that file counts.
    A host's own data counts, and so does what the command line says of a setting; addresses of hosts do not.

    Example: `digest(host.data.dict(), project=PROJECT, environment="do", groups=host.groups)`
    """
    shared = {key: value for key, value in of_settings(data).items() if key != ENVIRONMENT}
    for key in files.declared(project, environment).keys() & shared.keys():
        if files.source(key, data, project=project, environment=environment, groups=groups) is None:
            continue  # the host's own value, which won
        del shared[key]
        below = (
            files.declared(project, one) for one in files.by_rank(environment, groups) if one != environment
        )
        under = next((one for one in below if key in one), {})
        if key in under:
            shared[key] = under[key]
    shared = _without_neighbours(shared)
    if isinstance(shared.get(OVERRIDES), Mapping):
        shared[OVERRIDES] = _without_neighbours(shared[OVERRIDES])
    return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()


def _without_neighbours(table: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(table)
    for key, left_out in OF_THE_NETWORK.items():
        if isinstance(found.get(key), Mapping):
            found[key] = {name: value for name, value in found[key].items() if name not in left_out}
    return found


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
    found = {ENVIRONMENT}
    for path in sorted((project / "inventories").glob("*.py")):
        data = files.declared(project, path.stem)
        if data and (path.stem == environment or data.get(REQUIRES) == environment):
            found |= data.keys() - {OVERRIDES}
            found |= set(flat(data.get(OVERRIDES, {})))
    return tuple(sorted(found))
