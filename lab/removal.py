"""Remove directory trees that were whole systems: never through a mount, never swap in use."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from pathlib import Path

from lab.errors import LabError
from lab.run import run, succeeds

SWAPS = Path("/proc/swaps")


def _unescaped(word: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, character)
    return word


def mounts_under(directory: Path) -> list[Path]:
    """List what is mounted on or below a directory, innermost first."""
    points = (
        Path(_unescaped(line.split()[4])) for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )
    return sorted((point for point in points if point.is_relative_to(directory)), key=lambda p: -len(p.parts))


def swap_under(root: Path) -> list[Path]:
    """
    List the files below a root that may be in use as swap.

    /proc/swaps is the machine's, and shows a file by its path inside the host that turned it on.
    """
    names = [_unescaped(line.split()[0]) for line in SWAPS.read_text().splitlines()[1:]]
    places = {root / name.lstrip("/") for name in names} | {Path(name) for name in names}
    return sorted(place for place in places if place.is_relative_to(root) and place.is_file())


def swap_off(root: Path, *, seconds: float = 10) -> None:
    """
    Turn off swap on files below a root; another host's file of the same name is another file.

    + seconds: how long to try while the kernel is too busy to take the pages back; default 10.

    Raises `LabError` when it stays on: whoever goes on regardless leaves it on for ever.
    """
    end = time.monotonic() + seconds
    for place in swap_under(root):
        # "Invalid argument" is a file that is not in use: the entry was another host's.
        while (error := _swapoff(place)) not in (0, errno.EINVAL):
            if time.monotonic() > end:
                raise LabError(f"the swap file {place} cannot be turned off: {os.strerror(error)}")
            time.sleep(0.1)


def _swapoff(place: Path) -> int:
    """Ask the kernel and return its error: the program of that name does not say which one it was."""
    kernel = ctypes.CDLL(None, use_errno=True)
    return 0 if kernel.swapoff(os.fsencode(place)) == 0 else ctypes.get_errno()


def remove_tree(directory: Path, *, seconds: float = 10) -> None:
    """
    Remove a directory and all below it, after its swap and its mounts; a missing one is fine.

    + seconds: how long to try while something still uses a mount; default 10.

    Raises `LabError`, and removes nothing, when something of this machine goes on using it.
    """
    end = time.monotonic() + seconds
    for root in (directory, directory / "root"):
        swap_off(root)
    for point in mounts_under(directory):
        while not succeeds("umount", point):
            swap_off(point)
            if time.monotonic() > end:
                raise LabError(f"something on this machine still uses {point}; leave it, and try again")
            time.sleep(0.1)
    if directory.exists():
        run("rm", "--recursive", "--force", "--one-file-system", directory)
