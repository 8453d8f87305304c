"""Say which commit an application's directory is at; for people, never part of what a release is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from artefact.tree import run_git


class Commit(NamedTuple):
    """`id` is None outside git and before the first commit; `dirty`: the directory differs from it."""

    id: str | None
    dirty: bool


def commit(source: Path) -> Commit:
    """
    Return the commit that an application's directory is at.

    + source: the application's directory, in a git work tree or not

    Looks at that directory alone: what is changed elsewhere in the repository is not dirty.

    Example: `artefact.commit(Path("examples/rec_io")).id`
    """
    try:
        head = run_git(source, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        ignored = run_git(source, "check-ignore", "-q", ".")
        if head.returncode != 0 or ignored.returncode == 0:
            return Commit(None, False)
        # Without its lock: somebody may be working there.
        status = run_git(source, "--no-optional-locks", "status", "--porcelain", "--", ".")
    except FileNotFoundError:  # no git on this machine
        return Commit(None, False)
    return Commit(head.stdout.decode().strip(), status.returncode != 0 or bool(status.stdout.strip()))
