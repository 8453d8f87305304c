"""A mount namespace of its own for the matrix: other lab hosts must not keep its disks mounted."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.run import succeeds

# From <linux/sched.h> and <linux/mount.h>.
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """
    Go into a mount namespace of our own, for the main thread and all that it starts from now on.

    Each container that starts has a copy of all mounts of the machine, and keeps them until it ends. A disk
    that one of them keeps is not written out by `umount`, and cannot be mounted anew after a power cut.
    """
    _checked(_libc.unshare(CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    # The other way round: what is mounted now, for others, must not be kept by us.
    for point in _disks():
        succeeds("umount", "--lazy", point)


@contextmanager
def apart() -> Iterator[None]:
    """Be in a mount namespace of our own for a while, as `enter`; no other thread may be left at the end."""
    former = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    where = Path.cwd()
    try:
        enter()
        yield
    finally:
        _checked(_libc.setns(former, CLONE_NEWNS))
        os.close(former)
        os.chdir(where)


def _disks() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line.split()[4] for line in lines if line.split(" - ")[1].split()[1].startswith("/dev/loop")]


def _checked(code: int) -> None:
    if code != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
