"""What `operations/swap.py` reads: one swap file, its line in /etc/fstab, and the swappiness."""

from __future__ import annotations

import base64
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script

SYSCTL_FILE = "/etc/sysctl.d/99-hostwright-swap.conf"


class SwapFields(TypedDict):
    """One swap file as it is; sizes and memory in bytes, `fstab` None where it is not UTF-8."""

    kind: str
    owner: str
    size: int
    formatted: bool
    active: bool
    elsewhere: bool
    leftover: bool
    used: int
    filesystem: str
    free: int
    available: int
    swappiness: int
    sysctl: str
    fstab: str | None
    fstab_owner: str


class SwapFile(FactBase[SwapFields]):
    """
    Read everything about one swap file in one round trip.

    + path: absolute path

    `active` is the kernel's word: /proc/swaps has a line of this path and size, and this very file is
    locked as swap (a line alone may be that of another container). `elsewhere` says that the file is in
    use as swap, but /proc/swaps has no such line;
    `leftover` that an interrupted run left a file behind. `kind` is "" where there is nothing.
    """

    @override
    def command(self, path: str) -> StringCommand:
        return script("swap-state.sh", path, SYSCTL_FILE)

    @override
    def process(self, output: list[str]) -> SwapFields:
        words = dict(line.partition(" ")[::2] for line in output)
        fstab_owner, _, fstab = words.get("fstab", "root:root:644 ").partition(" ")
        return SwapFields(
            kind=words.get("kind", ""),
            owner=words.get("owner", ""),
            size=int(words.get("size", "0")),
            formatted=words.get("formatted") == "yes",
            active=words.get("active") == "yes",
            elsewhere=words.get("elsewhere") == "yes",
            leftover=words.get("leftover") == "yes",
            used=int(words.get("used", "0")) * 1024,
            filesystem=words.get("filesystem", ""),
            free=int(words.get("free", "0")),
            available=int(words.get("available", "0")) * 1024,
            swappiness=int(words.get("swappiness", "-1")),
            sysctl=_text(words.get("sysctl", "")) or "",
            fstab=_text(fstab),
            fstab_owner=fstab_owner,
        )


def _text(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        return None
