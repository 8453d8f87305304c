"""What `tasks/preflight.py` judges: what a host is, before anything on it is touched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class Disk(TypedDict):
    """The file system that a place is on: size and room in KiB, where it is; `there`: the place is."""

    size: int
    free: int
    mounted: str
    there: bool


class Listener(TypedDict):
    """Who listens at a port: process, its name, and the last part of its control group, such as a unit."""

    port: int
    pid: int
    process: str
    unit: str


class MachineFields(TypedDict):
    """
    What a host is.

    `distribution` is such as "debian 12"; `memory` is in KiB; `ahead` how many seconds its clock is ahead
    of this machine's; `addresses` its own, but for those that it alone can reach; `disks` by place;
    `archives` what asking each package archive came to, "ok" or what apt said, empty where packages are
    installed already.
    """

    distribution: str
    cpus: int
    memory: int
    ahead: float
    addresses: list[str]
    disks: dict[str, Disk]
    listeners: list[Listener]
    archives: dict[str, str]


class Machine(FactBase[MachineFields]):
    """
    Read what a host is in one round trip; works on a bare one.

    + ports: that the run wants for itself
    + places: absolute paths whose file systems matter
    """

    @override
    def command(self, ports: Sequence[int], places: Sequence[str]) -> StringCommand:
        return script("preflight.sh", " ".join(str(port) for port in ports), *places)

    @override
    def process(self, output: list[str]) -> MachineFields:
        rows = [line.split(" ") for line in output]
        words = {row[0]: row[1].strip('"') for row in rows if len(row) == 2}
        places = [(row[1], row[2] == "yes") for row in rows if row[0] == "place"]
        disks = [(int(row[1]), int(row[2]), " ".join(row[3:])) for row in rows if row[0] == "disk"]
        return MachineFields(
            distribution=f"{words.get('ID', '?')} {words.get('VERSION_ID', '?')}",
            cpus=int(words["cpus"]),
            memory=int(words["memory"]),
            ahead=int(words["time"]) - time.time(),
            addresses=[row[1] for row in rows if row[0] == "address"],
            disks={
                place: Disk(size=size, free=free, mounted=mounted, there=there)
                for (place, there), (size, free, mounted) in zip(places, disks, strict=True)
            },
            listeners=[
                Listener(port=int(row[1]), pid=int(row[2]), process=row[3], unit=" ".join(row[4:]))
                for row in rows
                if row[0] == "port"
            ],
            archives={row[-1]: " ".join(row[1:-1]) for row in rows if row[0] == "archive"},
        )
