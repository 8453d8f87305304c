"""A swap file: made, resized, removed; on now and at every boot."""

from __future__ import annotations

import re
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from facts.swap import SYSCTL_FILE, SwapFields, SwapFile
from operations import atomic
from operations.differences import differs
from operations.swap_text import fstab_with, fstab_without, parse_size, readable, spelled

PATH = re.compile(r"/[A-Za-z0-9._/-]*[A-Za-z0-9_-]")
# What a file of swap needs beside it: a full disk stops databases and logs.
DISK_RESERVE = 256 * 1024**2
MEMORY_RESERVE = 32 * 1024**2
NO_SWAP_FILES = ("btrfs", "zfs", "overlayfs", "tmpfs", "nfs", "ramfs", "squashfs")


@operation()
def file(path: str, *, size: str = "2G", swappiness: int | None = 10) -> Generator[StringCommand, None, None]:
    """
    Keep a swap file of this size, on now and at every boot.

    + path: absolute path
    + size: like "2G" or "512M", in units of 1024, at least 1M; default "2G"
    + swappiness: how eagerly the kernel swaps, 0 to 200, None to leave it alone; default 10, so that a
      server's processes stay in memory while there is any

    Resizing makes the file anew: it is off for that moment, so what is swapped out must fit into memory.
    Does not converge other swap files and partitions, priorities, and a vm.swappiness that another file
    of a later name in /etc/sysctl.d or /etc/sysctl.conf sets.

    Raises OperationError for a size or path that is none, a full disk or memory, and file systems that
    cannot hold a swap file.

    Example:

        swap.file(name="Create the 2 GiB swap file", path="/swapfile", size="2G")
    """
    check_path(path)
    wanted = parse_size(size)
    if swappiness is not None and (isinstance(swappiness, bool) or not 0 <= swappiness <= 200):
        raise OperationError(f"swap.file: swappiness {swappiness!r} is out of range; write 0 to 200")
    now = host.get_fact(SwapFile, path=path)
    fstab = _readable_fstab(now)

    right_file = now["size"] == wanted and now["formatted"] and now["owner"] == "root:root:600"
    changed = False
    if not (right_file and now["active"]) or now["leftover"]:
        refuse(path, now, wanted)
        changed = True
        differs(path, expected=f"{readable(wanted)} of swap, in use", found=_shown(now))
        yield script("swap-apply.sh", path, wanted)
    if (new_fstab := fstab_with(fstab, path)) != fstab:
        changed = True
        yield from _write_fstab(now, new_fstab)
    if swappiness is not None:
        text = f"# Written by hostwright.\nvm.swappiness = {swappiness}\n"
        if now["sysctl"] != text:
            changed = True
            yield from atomic.file._inner(path=SYSCTL_FILE, content=text)
        if now["swappiness"] != swappiness:
            changed = True
            differs("vm.swappiness", expected=swappiness, found=now["swappiness"])
            yield StringCommand("sysctl", "-q", "-w", f"vm.swappiness={swappiness}")
    if not changed:
        host.noop(f"swap file {path} is already {readable(wanted)} and active")


@operation()
def absent(path: str) -> Generator[StringCommand, None, None]:
    """
    Turn a swap file off for good and delete it, with its line in /etc/fstab.

    + path: absolute path

    Does not give vm.swappiness back its former value: other swap may depend on it.

    Raises OperationError where what is swapped out does not fit into memory, and for a path that is
    something else than a swap file.

    Example:

        swap.absent(name="Remove the swap file", path="/swapfile")
    """
    check_path(path)
    now = host.get_fact(SwapFile, path=path)
    fstab = _readable_fstab(now)
    new_fstab = fstab_without(fstab, path)
    if not now["kind"] and not now["leftover"] and new_fstab == fstab:
        host.noop(f"there is no swap file {path}")
        return
    if now["kind"]:
        if now["kind"] != "regular file" or not (now["formatted"] or new_fstab != fstab):
            raise OperationError(
                f"swap.absent: {path} is a {now['kind']} without a swap header and in no line of /etc/fstab; "
                "look at it and delete it by hand"
            )
        refuse_full_memory("swap.absent", path, now)
    if now["kind"] or now["leftover"]:
        differs(path, expected="no swap file", found=_shown(now))
    # First the line: a boot between the two must not look for a file that is gone.
    if new_fstab != fstab:
        yield from _write_fstab(now, new_fstab)
    if now["kind"] or now["leftover"]:
        yield script("swap-remove.sh", path)


def _shown(now: SwapFields) -> str:
    if not now["kind"]:
        return "no file"
    words = [readable(now["size"]), "in use" if now["active"] else "not in use"]
    if not now["formatted"]:
        words.append("no swap header")
    if now["owner"] != "root:root:600":
        words.append(now["owner"])
    return ", ".join(words)


def _write_fstab(now: SwapFields, text: str) -> Generator[StringCommand, None, None]:
    user, group, mode = now["fstab_owner"].split(":")
    yield from atomic.file._inner(path="/etc/fstab", content=text, user=user, group=group, mode=mode.zfill(4))


def _readable_fstab(now: SwapFields) -> str:
    if now["fstab"] is None:
        raise OperationError(
            "swap.file: /etc/fstab is not UTF-8 text; rewrite its odd characters by hand first"
        )
    return now["fstab"]


def check_path(path: str) -> None:
    """Raise OperationError unless the path is absolute, plain, and in its shortest spelling."""
    if not PATH.fullmatch(path) or spelled(path) != path:
        raise OperationError(
            f"swap.file: path {path!r} is not a plain absolute path; write it like '/swapfile'"
        )


def refuse(path: str, now: SwapFields, wanted: int) -> None:
    """Raise OperationError where the swap file cannot be made, before anything is touched."""
    if now["kind"] not in ("", "regular file", "regular empty file"):
        raise OperationError(f"swap.file: {path} is a {now['kind']}; move it away first")
    if now["kind"] == "regular file" and now["size"] and not now["formatted"]:
        raise OperationError(f"swap.file: {path} is a file that is no swap file; move it away first")
    if now["elsewhere"]:
        raise OperationError(f"swap.file: {path} is in use as swap under another path; turn that off first")
    if not now["filesystem"]:
        raise OperationError(f"swap.file: the directory of {path} does not exist; make it first")
    if now["filesystem"] in NO_SWAP_FILES:
        raise OperationError(
            f"swap.file: {path} is on {now['filesystem']}, which cannot hold this swap file; "
            "name a path on ext4 or xfs"
        )
    if now["size"] == wanted:
        return
    room = now["free"] + now["size"]
    if room < wanted + DISK_RESERVE:
        raise OperationError(
            f"swap.file: {readable(wanted)} do not fit: the disk of {path} has {readable(room)} for it, and "
            f"{readable(DISK_RESERVE)} must stay free; choose a smaller size or make room"
        )
    refuse_full_memory("swap.file", path, now)


def refuse_full_memory(operation_: str, path: str, now: SwapFields) -> None:
    """Raise OperationError where turning the file off would leave too little memory."""
    if now["active"] and now["used"] and now["used"] + MEMORY_RESERVE > now["available"]:
        raise OperationError(
            f"{operation_}: {readable(now['used'])} are swapped out to {path} and only "
            f"{readable(now['available'])} of memory are available to take them; stop something first"
        )
