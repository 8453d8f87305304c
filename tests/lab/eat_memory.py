"""
Eat a test host's memory until hardly any is left, and its swap; go on so until it is ended.

usage: eat_memory.py BYTES SWAP      beside own_memory.py, as root on a host that has so many bytes, and SWAP
"""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path

import own_memory  # type: ignore[import-not-found]  # as it is on the host

LEFT, SWAPPED = 0.085, 0.9
PIECE = 4 << 20
# MADV_PAGEOUT, which Python has no name for: swap this out.
PAGE_OUT = 21


def main(has: int, swap: int) -> None:
    # Where the kernel has to end something, it is this.
    Path("/proc/self/oom_score_adj").write_text("1000")
    held: list[mmap.mmap] = []
    out = 0
    while True:
        now = own_memory.used(own_memory.GROUP)
        if has - now.memory + now.files > LEFT * has:
            piece = mmap.mmap(-1, PIECE, flags=mmap.MAP_PRIVATE)
            piece.write(b"x" * PIECE)
            held.append(piece)
        elif now.swap < SWAPPED * swap and out < len(held):
            held[out].madvise(PAGE_OUT)
            out += 1
        else:
            time.sleep(0.2)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).stat().st_size)
