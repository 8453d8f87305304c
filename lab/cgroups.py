"""Control groups, one a host: the one place where all its processes are found, and only its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lab.errors import LabError, MissingError


def _mounts() -> list[tuple[Path, str, list[str]]]:
    """Return where something is mounted on this machine, its kind and its options."""
    found = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [(Path(point), kind, options.split(",")) for _, point, kind, options, *_ in found]


def hierarchies() -> list[Path]:
    """Return the mount points that systemd keeps its groups in: the unified one, the named one, or both."""
    return [
        point
        for point, kind, options in _mounts()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options)
    ]


def cpu_hierarchies() -> list[Path]:
    """Return where CPU time is shared out between groups, where that is not the unified hierarchy's doing."""
    return [point for point, kind, options in _mounts() if kind == "cgroup" and "cpu" in options]


def memory_hierarchies() -> list[Path]:
    """Return where memory is counted for each group, where that is not the unified hierarchy's doing."""
    return [point for point, kind, options in _mounts() if kind == "cgroup" and "memory" in options]


def make(machine_id: str, *, memory: int | None = None) -> list[Path]:
    """
    Make a host's groups and return the ones that its supervisor has to be in.

    + memory: bytes that a host may take, default as many as there are; what it wants beyond that is swapped.

    One of them has the CPU time, as much for each host. Without it the kernel gives as much to each session,
    be it a login or all services of a host together.

    Raises `MissingError` where there is no control group hierarchy that systemd could use, or none that has
    the memory where that is wanted.
    """
    tops = hierarchies()
    if not tops:
        raise MissingError(
            "no cgroup2 file system is mounted; mount one: `mount -t cgroup2 none /sys/fs/cgroup`"
        )
    groups = [top / machine_id / "supervisor" for top in tops]
    groups += [top / machine_id for top in cpu_hierarchies()]
    if memory is not None:
        groups += [top / machine_id for top in memory_hierarchies()]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    if memory is not None:
        _limit(machine_id, memory)
    return groups


def _limit(machine_id: str, memory: int) -> None:
    for top in memory_hierarchies():
        (top / machine_id / "memory.limit_in_bytes").write_text(str(memory))
        return
    for top in hierarchies():
        controllers = top / "cgroup.controllers"
        if controllers.exists() and "memory" in controllers.read_text().split():
            (top / "cgroup.subtree_control").write_text("+memory")
            (top / machine_id / "memory.max").write_text(str(memory))
            return
    raise MissingError(
        "this machine's kernel counts no memory for each group, as `memory` of a host needs; boot it with "
        "cgroup_enable=memory, or leave that out"
    )


def _groups(machine_id: str) -> list[Path]:
    """Return all groups of a host, innermost first."""
    found: list[Path] = []
    for top in [*hierarchies(), *cpu_hierarchies(), *memory_hierarchies()]:
        for directory, _, _ in os.walk(top / machine_id, topdown=False):
            found.append(Path(directory))
    return found


def processes(machine_id: str) -> set[int]:
    """Return the process ids of a host, as this machine numbers them."""
    found: set[int] = set()
    for group in _groups(machine_id):
        try:
            found.update(_listed(group))
        except OSError:
            # The host removed it meanwhile; or a threaded group, whose processes its parent lists.
            continue
    return found


def _listed(group: Path) -> set[int]:
    # 0 stands for a process that this PID namespace cannot see; to kill, it means ourselves.
    return {pid for pid in map(int, (group / "cgroup.procs").read_text().split()) if pid > 1}


def _supervisors(machine_id: str) -> set[int]:
    found: set[int] = set()
    for top in hierarchies():
        group = top / machine_id / "supervisor"
        if group.is_dir():
            found.update(_listed(group))
    return found


def kill(machine_id: str, *, seconds: float = 10) -> None:
    """
    Kill every process of a host at once, and wait until none is left.

    + seconds: how long to wait; default 10.

    Raises `LabError` when some cannot be killed.
    """
    end = time.monotonic() + seconds
    while True:
        # Supervisors first, so that nothing is tidied up or started again.
        for pid in sorted(_supervisors(machine_id)) + sorted(processes(machine_id)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        left = processes(machine_id)
        if not left:
            return
        if time.monotonic() > end:
            raise LabError(
                f"processes {sorted(left)} of {machine_id} do not end; is a disk or network mount stuck?"
            )
        time.sleep(0.02)


def remove(machine_id: str) -> None:
    """Remove a host's groups, once it has no process left."""
    for _ in range(50):
        groups = _groups(machine_id)
        for group in groups:
            try:
                group.rmdir()
            except OSError:
                # The kernel lets go of a dead process's group a moment later.
                continue
        if not _groups(machine_id):
            return
        time.sleep(0.02)
    raise LabError(f"the control groups of {machine_id} cannot be removed; something still runs in them")
