"""Where the lab keeps things: this clone's hosts, this user's cache, this machine's registry."""

from __future__ import annotations

import os
from pathlib import Path

MACHINE = Path("/run/hostwright-lab")
FILES = Path(__file__).resolve().parent / "files"
PROJECT = FILES.parents[1]


def state() -> Path:
    """Return the directory of this clone's hosts: HOSTWRIGHT_LAB_STATE, or .lab/ in the project."""
    return Path(os.environ.get("HOSTWRIGHT_LAB_STATE") or PROJECT / ".lab").absolute()


def cache() -> Path:
    """Return where clones share images and packages: HOSTWRIGHT_LAB_CACHE, or a place in ~/.cache."""
    chosen = os.environ.get("HOSTWRIGHT_LAB_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "hostwright" / "lab"


def make_state() -> Path:
    """
    Make the state directory and return it: for its owner only, and never tracked by git.

    It belongs to whoever owns the directory around it, so that `sudo python -m lab up` leaves keys and
    known hosts that the user's own ssh and pyinfra can read.
    """
    directory = state()
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        give(directory, like=directory.parent)
    for part in (directory / "hosts", directory / "locks"):
        part.mkdir(exist_ok=True)
        give(part, like=directory)
    ignore = directory / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return directory


def give(path: Path, *, like: Path) -> None:
    """Give a file to the owner of another one; only root can, and only root needs to."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
