"""
The lint as a gate of every deploy: what it found in an artefact is known by the artefact's digest.

A run that has nothing to do reads one small file. None of the lint itself is imported for that.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path

from artefact import Artefact

SHOWN = 8
KEPT = 50


def findings(app: str, source: Path, archive: Artefact) -> list[str]:
    """
    Return what in an app's artefact does not travel, for people.

    + app: its key
    + source: its directory
    + archive: the artefact made of it
    """
    kept = archive.path.parent / f"{archive.digest[:32]}-{_version()}.lint.json"
    try:
        lines: list[str] = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        lines = _looked(source, archive)
        _keep(kept, json.dumps(lines))
    more = [f"apps.{app}.source: and {len(lines) - SHOWN} more; all of them: python -m lint {source}"]
    return [f"apps.{app}.source: {one}" for one in lines[:SHOWN]] + (more if len(lines) > SHOWN else [])


def _looked(source: Path, archive: Artefact) -> list[str]:
    from lint import check, exceptions, report

    try:
        return [report.line(one) for one in check.directory(source, archive.files)]
    except exceptions.LintError as error:
        return [str(error)]


@cache
def _version() -> str:
    """Return a digest of the lint itself: other rules find other things."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _keep(file: Path, content: str) -> None:
    known = sorted(file.parent.glob("*.lint.json"), key=lambda one: one.stat().st_mtime)
    for old in known[:-KEPT]:
        old.unlink(missing_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        new.write(content)
    Path(aside).replace(file)
