"""Which playbook this is: its commit, and where it was changed since, what it was changed to."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from threading import Lock

from artefact.tree import run_git, wanted

# What decides nothing about a host: another text of these is the same playbook.
BESIDE = ("benchmarks/", "docs/", "examples/", "lab/", "scripts/", "tests/")
BESIDE_ENDINGS = (".md", ".yaml", ".yml")
SHORT = 12


# While git is waited for, the other hosts of a run come to ask the same.
_looking = Lock()


def of(project: Path) -> str:
    """
    Return the playbook's identity: "1a2b3c4d5e6f", or "1a2b3c4d5e6f+0f9e8d7c6b5a" where it was changed.

    + project: directory that deploy.py is in

    What follows the + is a digest of every file that has a say in what a deploy does, group_data/ included;
    documents, lists of hosts and the apps' own code are not among them. Without a commit it stands alone.

    Example: `playbook_identity.of(guard.PROJECT)`
    """
    with _looking:
        return _of(project)


@cache
def _of(project: Path) -> str:
    # Of git's words, one call: the commit, and whatever differs from it or is new.
    try:
        said = run_git(
            project, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-uall", "-z", "."
        )
    except FileNotFoundError:  # no git on this machine
        return f"+{_digest(project)}"
    if said.returncode != 0:
        return f"+{_digest(project)}"
    fields = said.stdout.decode(errors="surrogateescape").split("\0")
    commit = next((one.split()[2] for one in fields if one.startswith("# branch.oid ")), "(initial)")
    head = "" if commit == "(initial)" else commit[:SHORT]
    changed = [one for one in fields if one and not one.startswith("# ")]
    if head and not any(_counts(_path(one)) for one in changed):
        return head
    return f"{head}+{_digest(project)}"


def _path(line: str) -> str:
    # "1 XY sub mH mI mW hH hI path"; "2 ... score path", and its origin in a field of its own; "? path"
    kind, _, rest = line.partition(" ")
    words = {"1": 7, "2": 8, "u": 9}.get(kind)
    if kind == "?":
        return rest
    return rest.split(" ", words)[-1] if words is not None else line


def _counts(path: str) -> bool:
    if path.startswith("tests/acceptance/"):  # what passes there is what a receipt says
        return path.endswith((".py", ".sql"))
    return not path.startswith(BESIDE) and not path.endswith(BESIDE_ENDINGS) and not path.startswith(".")


def _digest(project: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(one for one in wanted(project) if _counts(one)):
        digest.update(f"{path}\0{hashlib.sha256((project / path).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:SHORT]
