"""What the files of group_data/ declare between them."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path


@cache
def apps_declared(project: Path) -> frozenset[str]:
    """
    Return the names of all apps that any file of group_data/ declares, on whichever hosts they run.

    + project: directory that group_data/ is in

    Example: `settings.load(data, "host web-1", elsewhere=apps_declared(PROJECT))`
    """
    found: set[str] = set()
    for path in sorted((project / "group_data").glob("*.py")):
        apps = runpy.run_path(str(path)).get("apps")
        if isinstance(apps, dict):
            found.update(map(str, apps))
    return frozenset(found)
