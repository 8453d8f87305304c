"""What apt downloaded in earlier hosts, kept so that the next ones of the same image need not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab import places
from lab.locks import locked
from lab.state import Host

_ARCHIVES = "var/cache/apt/archives"
_LISTS = "var/lib/apt/lists"


def _packages(host: Host) -> Path:
    return places.cache() / "debs" / host.image


def _lists(host: Host) -> Path:
    return places.cache() / "lists" / host.image


def _lock(host: Host) -> Path:
    return places.cache() / "locks" / f"{host.image}.shelf"


def lend(host: Host) -> None:
    """Give a new host what is on the shelf; apt checks it, and downloads what is newer or missing."""
    with locked(_lock(host), shared=True):
        for shelf, inside in ((_packages(host), _ARCHIVES), (_lists(host), _LISTS)):
            for file in shelf.iterdir() if shelf.is_dir() else ():
                _share(file, host.root / inside / file.name)


def collect(host: Host) -> None:
    """Take what a host downloaded, once it runs no more; it may be half-made."""
    archives, lists = host.root / _ARCHIVES, host.root / _LISTS
    if not host.ready or not archives.is_dir():
        return
    with locked(_lock(host)):
        _packages(host).mkdir(parents=True, exist_ok=True)
        for package in _files(archives, "*.deb"):
            _share(package, _packages(host) / package.name)
        # Lists fit each other only as one set; one that an interrupted update left is not taken.
        if _is_news(lists, _lists(host)):
            aside = _lists(host).with_suffix(".new")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            for file in _files(lists, "*_*"):
                _share(file, aside / file.name)
            shutil.rmtree(_lists(host), ignore_errors=True)
            aside.rename(_lists(host))


def _is_news(lists: Path, shelf: Path) -> bool:
    """Tell whether a host's lists are whole, and other than those on the shelf."""
    releases = _files(lists, "*Release")
    if not releases or _files(lists / "partial", "*"):
        return False
    known = {release.name: release.read_bytes() for release in _files(shelf, "*Release")}
    return known != {release.name: release.read_bytes() for release in releases} or {
        file.name for file in _files(lists, "*_*")
    } != {file.name for file in _files(shelf, "*")}


def _files(directory: Path, pattern: str) -> list[Path]:
    found = directory.glob(pattern) if directory.is_dir() else ()
    return [file for file in found if file.is_file() and not file.is_symlink()]


def _share(file: Path, to: Path) -> None:
    """Put a file in a second place, unless there is one: apt replaces files, it never writes into them."""
    if to.exists():
        return
    try:
        os.link(file, to)
    except OSError:
        # Another file system: a copy, complete before it has its name.
        aside = to.with_name(to.name + ".new")
        shutil.copy2(file, aside)
        aside.rename(to)
