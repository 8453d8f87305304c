"""Kernel settings that all hosts share: kept before the first host, put back after the last."""

from __future__ import annotations

import json
from pathlib import Path

TOP = Path("/proc/sys")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
FORWARD = "net/ipv4/ip_forward"
# Who watches files and directories: some seven programs of each host, where the kernel grants 128 to all.
WATCHERS, ENOUGH = "fs/inotify/max_user_instances", 4096
# Triggers and counters: reading or writing them means something else.
_NOT_SETTINGS = {"vm/compact_memory", "vm/drop_caches", "vm/stat_refresh", "kernel/ns_last_pid"}
# Each host has its own.
_OWN = (
    "kernel/hostname",
    "kernel/domainname",
    "kernel/sem",
    "kernel/shm",
    "kernel/msg",
    "kernel/auto_msgmni",
)


def current() -> dict[str, str]:
    """Read every setting of the machine that a host could change, and forwarding."""
    values = {}
    for area in ("vm", "fs", "fs/inotify", "kernel", "kernel/yama"):
        for path in (TOP / area).glob("*"):
            name = str(path.relative_to(TOP))
            writable = path.is_file() and path.stat().st_mode & 0o600 == 0o600
            if not writable or name in _NOT_SETTINGS or name.startswith(_OWN):
                continue
            try:
                values[name] = path.read_text()
            except OSError:
                # The kernel was built without what this one sets.
                continue
    values[FORWARD] = (TOP / FORWARD).read_text()
    return values


def keep(file: Path) -> None:
    """Write down the settings as they are; what was written since the machine started stays."""
    boot = _BOOT.read_text().strip()
    if not file.exists() or json.loads(file.read_text())["boot"] != boot:
        aside = file.with_suffix(".new")
        aside.write_text(json.dumps({"boot": boot, "settings": current()}, indent=1))
        aside.rename(file)


def allow() -> None:
    """Let this machine pass packets on between hosts and the outside, and dozens of hosts watch files."""
    for name, least in ((FORWARD, 1), (WATCHERS, ENOUGH)):
        setting = TOP / name
        if int(setting.read_text()) < least:
            setting.write_text(f"{least}\n")


def put_back(file: Path) -> list[str]:
    """Put back what was written down, and return the names that the kernel would not take."""
    if not file.exists():
        return []
    former: dict[str, str] = json.loads(file.read_text())["settings"]
    # Twice: some settings (dirty_ratio, dirty_bytes) clear each other.
    for _ in range(2):
        for name, value in _differing(former).items():
            try:
                (TOP / name).write_text(value)
            except OSError:
                # Named in the result: it still differs.
                continue
    left = sorted(_differing(former))
    file.unlink()
    return left


def _differing(former: dict[str, str]) -> dict[str, str]:
    now = current()
    return {name: value for name, value in former.items() if now.get(name, value) != value}
