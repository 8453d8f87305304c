"""
Many hosts that leave the CPU alone, so that it is there for what is measured.

All test hosts compute on one machine. Twelve services on each of twenty that act every ten seconds take both
cores of a small one, and then a run of hostwright waits for them; twenty droplets have a CPU each. So here
the example's services act once a minute, and they and what they make count as fresh for as much longer. And
Debian's own daily upgrade does not begin meanwhile: a run would wait for it, and say so. Nothing else of
the example or of the hosts is any different.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab import lifecycle, state
from tests.lab import templates
from tests.lab.playbook import LabHost, shell
from tests.lab.project import Deployed, copy

LOOP = "examples/rec_io/backend/service.py"
CALMER = (
    ("EVERY_SECONDS = 10.0\n", "EVERY_SECONDS = 60.0\n"),
    ("FRESH_SECONDS = 30.0\n", "FRESH_SECONDS = 180.0\n"),
)
# Their newest file may be as old as a service that acts once a minute makes it.
DECLARED = 'overrides["apps"] = {"rec_io": {"produces": {"backend/data/live_data": 300}}}\n'


def project(place: Path) -> Path:
    """Copy the project into a directory, with services that act once a minute, and return where it is."""
    made = copy(place)
    loop = made / LOOP
    text = loop.read_text(encoding="utf-8")
    for old, new in CALMER:
        if old not in text:
            raise AssertionError(f"{LOOP} has no {old!r}")
        text = text.replace(old, new)
    loop.write_text(text, encoding="utf-8")
    with (made / "group_data/lab.py").open("a", encoding="utf-8") as file:
        file.write(DECLARED)
    return made


@contextmanager
def hosts(count: int, image: str, made: Path, place: Path) -> Iterator[list[LabHost]]:
    """
    Give that many hosts, each deployed to from that project.

    + made: the project, as `project` returned it
    + place: directory for the disk that all of them start from

    They boot one after the other: all at once, a small machine is too slow for the services' own patience.
    """
    disk = place / "disk"
    with ExitStack() as ends:
        with templates.disk("packages", image) as packages:
            ends.callback(lifecycle.down, "bench-many-0")
            first = lifecycle.up("bench-many-0", image=image, disk=packages)
        Deployed(_host(first), "root", made).run("-y")
        lifecycle.save("bench-many-0", disk)
        lifecycle.down("bench-many-0")
        up = []
        for number in range(count):
            name = f"bench-many-{number}"
            ends.callback(lifecycle.down, name)
            up.append(_host(lifecycle.up(name, image=image, disk=disk)))
            templates.settled(up[-1], "deployed")
            shell(up[-1], "systemctl stop apt-daily.timer apt-daily-upgrade.timer")
        yield up


def _host(one: state.Host) -> LabHost:
    return LabHost(one.name, one.image, one.address, one.key, one.known_hosts)
