"""What each file of group_data/ declares, and which of them a host's value comes from."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from settings.load import OVERRIDES
from settings.model import Settings

ALL = "all"


@cache
def declared(project: Path, name: str) -> Mapping[str, Any]:
    """
    Return the settings, and the `overrides`, that one file of group_data/ declares; none without such a file.

    + project: directory that group_data/ is in
    + name: of the file, without .py: "all", an environment, or a group
    """
    file = project / "group_data" / f"{name}.py"
    if not file.is_file():
        return {}
    names = {*Settings.model_fields, OVERRIDES}
    return {key: value for key, value in runpy.run_path(str(file)).items() if key in names}


def same(one: Any, other: Any) -> bool:
    """Return whether two values of data are the same, one of which may have been JSON meanwhile."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def by_rank(environment: str, groups: Sequence[str]) -> Iterator[str]:
    """
    Yield the names of a host's files of group_data/, those first that win.

    + environment: of its inventory
    + groups: that the host is in, in pyinfra's order
    """
    yield environment
    yield from (one for one in reversed(groups) if one not in (environment, ALL))
    yield ALL


def source(
    key: str, data: Mapping[str, Any], *, project: Path, environment: str, groups: Sequence[str]
) -> str | None:
    """
    Return which file of group_data/ a host's value of one setting is from; None where it is the host's own.

    + key: name of the setting, or `overrides`
    + data: of the host, as pyinfra merged it

    A value of the host's own, or of the command line, wins over all of them.
    """
    for name in by_rank(environment, groups):
        mine = declared(project, name)
        if key in mine:
            return name if same(mine[key], data.get(key)) else None
    return None
