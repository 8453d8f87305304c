"""Choose the files of an application's directory that belong in its artefact."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

import pathspec
from pyinfra.api.exceptions import PyinfraError

# Never in an artefact, tracked or not: secrets of one environment, and what is made anew on each host.
NEVER = frozenset({".env", "config.local.json", ".git", ".hg", ".svn", ".venv", "__pycache__"})

# Not "not a git repository: /path", which is what a broken link to one says.
NO_REPOSITORY = b"not a git repository (or any"


class ArtefactError(PyinfraError):
    """The tree cannot be made into an artefact; the message names the path and the remedy."""


def wanted(root: Path) -> set[str]:
    """List the paths below root, relative to it, that an artefact carries."""
    found = _from_git(root)
    if found is None:
        found = _from_walk(root)
    environments = {str(PurePosixPath(path).parent) for path in found if path.endswith("pyvenv.cfg")}
    return {
        path
        for path in found
        if not NEVER.intersection(PurePosixPath(path).parts)
        and not path.endswith((".pyc", ".pyo"))
        and not any(path.startswith(f"{environment}/") for environment in environments)
    }


def run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a directory and return what it came to, whatever its exit code."""
    # Its words in English: they are looked into.
    env = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False, env=env)


def _refuse(root: Path, done: subprocess.CompletedProcess[bytes]) -> ArtefactError:
    said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
    return ArtefactError(
        f"artefact: git could not look into {root}, so which files it ignores is unknown; "
        f"mend that (git -C {root} status must work) and run again; git says:\n{said}"
    )


def _from_git(root: Path) -> set[str] | None:
    """List what git would track below root; None where root is not part of a git work tree."""
    try:
        inside = run_git(root, "rev-parse", "--is-inside-work-tree")
    except FileNotFoundError:
        return None
    if inside.returncode != 0:
        if NO_REPOSITORY in inside.stderr:
            return None
        # Such as a repository of another owner: taken for none, what it ignores would be sent.
        raise _refuse(root, inside)
    if inside.stdout.strip() != b"true":
        return None
    ignored = run_git(root, "check-ignore", "-q", ".")
    if ignored.returncode == 0:  # what the repository around it ignores is no part of that repository
        return None
    if ignored.returncode != 1:
        raise _refuse(root, ignored)
    # Not --exclude-standard: what the user's own git configuration ignores would change the digest.
    listed = run_git(root, "ls-files", "-z", "-co", "--exclude-per-directory=.gitignore")
    if listed.returncode != 0:
        raise _refuse(root, listed)
    paths = {os.fsdecode(path).rstrip("/") for path in listed.stdout.split(b"\0") if path}
    found = set()
    for path in paths:
        full = root / path
        if full.is_dir() and not full.is_symlink():  # a submodule, or a repository within this one
            found |= {f"{path}/{below}" for below in _from_git(full) or set()}
        elif os.path.lexists(full):  # git still lists a tracked file that was deleted
            found.add(path)
    return found


def _from_walk(root: Path) -> set[str]:
    found: set[str] = set()
    specs: dict[str, pathspec.PathSpec] = {}  # type: ignore[type-arg]  # generic only in its newest release

    def ignored(path: str) -> bool:
        """Ask the .gitignore files from the nearest directory up; the first that has a word decides."""
        for parent in PurePosixPath(path.rstrip("/")).parents:
            spec = specs.get(str(parent))
            if spec is not None:
                below = path if str(parent) == "." else path[len(str(parent)) + 1 :]
                verdict = spec.check_file(below).include
                if verdict is not None:
                    return bool(verdict)
        return False

    for directory, below, files in os.walk(root):
        here = Path(directory).relative_to(root).as_posix()
        prefix = "" if here == "." else f"{here}/"
        if ".gitignore" in files:
            lines = (root / here / ".gitignore").read_text(encoding="utf-8").splitlines()
            specs[here] = pathspec.PathSpec.from_lines("gitignore", lines)
        for name in list(below):
            if (Path(directory) / name).is_symlink():
                below.remove(name)
                files.append(name)
            elif name in NEVER or ignored(f"{prefix}{name}/"):
                below.remove(name)
        found |= {f"{prefix}{name}" for name in files if not ignored(f"{prefix}{name}")}
    return found
