# What the programs of recovery share: other programs that must succeed, and what the repository has.

import json
import subprocess
from typing import Any

PGBACKREST = "/usr/bin/pgbackrest"


class RefusedError(Exception):
    """Something that the person who runs this has to read."""


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)


def as_postgres(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run("runuser", "-u", "postgres", "--", *argv, stdin=stdin)


def must(done: subprocess.CompletedProcess[str], what: str) -> str:
    if done.returncode != 0:
        raise RefusedError(f"{what}: {(done.stderr.strip() or done.stdout.strip())[-2000:]}")
    return done.stdout


def pgbackrest(stanza: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return as_postgres(PGBACKREST, f"--stanza={stanza}", *argv)


def info(stanza: str) -> dict[str, Any]:
    """Return what the repository has of a stanza."""
    found: list[dict[str, Any]] = json.loads(
        must(pgbackrest(stanza, "--output=json", "info"), "the repository")
    )
    return found[0] if found else {"db": [], "backup": []}


def listed(stanza: str, place: str) -> dict[str, dict[str, Any]]:
    """Return the files below a place in the repository, with their paths."""
    listing = must(pgbackrest(stanza, "--output=json", "--recurse", "repo-ls", place), "the repository")
    return {path: about for path, about in json.loads(listing).items() if about["type"] == "file"}
