"""
Write what /proc/meminfo is of a test host alone, as lxcfs does: it shows the machine, with all its hosts.

usage: own_memory.py FILE BYTES SWAP     as root on a host that has so many bytes, and SWAP to swap to, until
                                         it is ended; a unit gets FILE by BindReadOnlyPaths=

What is used is as the kernel counts it for the host's control group.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS = 1.0
ROOM = 4096
GROUP = Path("/sys/fs/cgroup")
# mkswap keeps the first page for itself.
HEADER = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Used:
    """
    What a control group uses, in bytes.

    + memory: all of it, with pages of files
    + files: pages of files, which are given up where the memory is wanted
    + swap: what of it is swapped out
    """

    memory: int
    files: int
    swap: int


def used(group: Path) -> Used:
    """Return what the group uses that is mounted here, by the names of the first or the second version."""
    own = group / "memory"
    first = own.exists()
    stat = (own if first else group) / "memory.stat"
    counts = {name: int(count) for name, count in (line.split() for line in stat.read_text().splitlines())}
    if first:
        memory = int((own / "memory.usage_in_bytes").read_text())
        files = counts["total_active_file"] + counts["total_inactive_file"]
        # What came back from there takes its place there for as long as it is the same.
        return Used(memory, files, counts["total_swap"] + counts["total_swapcached"])
    memory, swap = (int((group / f"memory.{one}").read_text()) for one in ("current", "swap.current"))
    return Used(memory, counts["active_file"] + counts["inactive_file"], swap)


def text(has: int, swap: int, now: Used) -> str:
    """Return /proc/meminfo of a host that has so much memory and swap."""
    free = max(0, has - now.memory)
    about = {
        "MemTotal": has, "MemFree": free, "MemAvailable": min(has, free + now.files), "Cached": now.files,
        "SwapTotal": swap, "SwapFree": max(0, swap - now.swap),
    }  # fmt: skip
    return "".join(f"{name + ':':15} {size >> 10:8} kB\n" for name, size in about.items())


def main(own: Path, has: int, swap: Path) -> None:
    with own.open("wb", buffering=0) as file:
        while True:
            # It comes with the first deploy.
            room = swap.stat().st_size - HEADER if swap.exists() else 0
            made = text(has, room, used(GROUP)).encode()
            # One write of one length: whoever reads meanwhile sees whole lines, and nothing of former ones.
            os.pwrite(file.fileno(), made.ljust(ROOM, b"\n"), 0)
            time.sleep(SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
