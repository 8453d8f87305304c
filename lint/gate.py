"""
The lint as a gate of every deploy: what it found in an artefact is known by the artefact's digest.

A run that has nothing to do reads one small file. None of the lint itself is imported for that.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from artefact import Artefact, kept

SHOWN = 8


def findings(app: str, source: Path, archive: Artefact) -> list[str]:
    """
    Return what in an app's artefact does not travel, for people.

    + app: its key
    + source: its directory
    + archive: the artefact made of it
    """
    lines: list[str] = kept.once(archive, f"lint-{_version()}", lambda: _looked(source, archive))
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
