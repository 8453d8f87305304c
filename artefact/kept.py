"""What was found out about an artefact, kept beside it: the same bytes need not be looked at twice."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artefact import Artefact

# Of all artefacts and all that is found out about each.
KEPT = 100


def once(archive: Artefact, what: str, find: Callable[[], Any]) -> Any:
    """
    Return what was found out about an artefact, found out now where that was never kept.

    + archive: what it is about
    + what: name of the question, with the version of whatever answers it, such as "lint-1a2b3c4d"
    + find: finds the answer; anything that JSON can carry

    Example: `kept.once(archive, "lint-1a2b3c4d", lambda: ["app.py:1: ..."])`
    """
    file = archive.path.parent / f"{archive.digest[:32]}-{what}.found.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = find()
    known = sorted(file.parent.glob("*.found.json"), key=lambda one: one.stat().st_mtime)
    for old in known[:-KEPT]:
        old.unlink(missing_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        json.dump(found, new)
    Path(aside).replace(file)
    return found
