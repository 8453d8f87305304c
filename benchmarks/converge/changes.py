"""A change of a converged host: hostwright beside Ansible, which is given what hostwright made of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.converge import contenders, reference
from benchmarks.converge.contenders import OURS, Line
from lab import lifecycle
from tests.lab import templates
from tests.lab.playbook import LabHost, shell
from tests.lab.project import Deployed, copy

KIND = "deployed"
SERVICE = "examples/rec_io/backend/services/symbol_price_feed.py"


@dataclass(frozen=True)
class Change:
    """
    What was measured of one kind of change, by label.

    + seconds: of each run
    + medians: in seconds
    + ratios: to hostwright's median
    """

    seconds: dict[str, list[float]]
    medians: dict[str, float]
    ratios: dict[str, float]


def release(project: Path, turn: int) -> None:
    """Change a line of one service's code."""
    file = project / SERVICE
    file.write_text(f"{file.read_text(encoding='utf-8')}\n# {turn}\n", encoding="utf-8")


def template(project: Path, turn: int) -> None:
    """Change how long logs are kept, and so one rendered file."""
    file = project / "group_data" / "all.py"
    text = file.read_text(encoding="utf-8")
    before = f'"logs": {{"keep": {7 + turn}}}'
    if before not in text:
        raise AssertionError(f"{file} does not say {before}")
    file.write_text(text.replace(before, f'"logs": {{"keep": {8 + turn}}}'), encoding="utf-8")


KINDS: dict[str, Callable[[Path, int], None]] = {
    "code-only release": release,
    "one changed template": template,
}


def _host(name: str, image: str) -> LabHost:
    with templates.disk(KIND, image) as saved:
        up = lifecycle.up(name, image=image, disk=saved)
    host = LabHost(name, image, up.address, up.key, up.known_hosts)
    templates.settled(host, KIND)
    shell(host, "apt-get -qq install -y python3-apt python3-psycopg2 >/dev/null", timeout=120)
    return host


def measured(programs: Path, image: str, times: int, place: Path) -> dict[str, Change]:
    """
    Make each kind of change several times: by hostwright on one host, and then by Ansible on another.

    + programs: directory of the programs of Ansible's environment
    + place: directory for what is copied
    """
    names = "bench-changed", "bench-ansible"
    found = {}
    try:
        ours, theirs = (_host(name, image) for name in names)
        deployed = Deployed(ours, "root", copy(place))
        for kind, change in KINDS.items():
            seconds: dict[str, list[float]] = {}
            for turn in range(times):
                change(deployed.project, turn)
                began = time.monotonic()
                deployed.run("-y")
                seconds.setdefault(OURS, []).append(round(time.monotonic() - began, 2))
                files = reference.gathered(ours, place / f"{kind.replace(' ', '-')}-{turn}")
                one = contenders.ansible("Ansible, pipelining", programs, files, mitogen=False, changes=True)
                began = time.monotonic()
                one.run(theirs, Line(theirs.address, theirs.port, theirs.known_hosts))
                seconds.setdefault(one.label, []).append(round(time.monotonic() - began, 2))
                print(kind, {label: each[-1] for label, each in seconds.items()}, flush=True)
            medians = {label: statistics.median(each) for label, each in seconds.items()}
            ratios = {label: round(median / medians[OURS], 2) for label, median in medians.items()}
            found[kind] = Change(seconds, medians, ratios)
    finally:
        for name in names:
            lifecycle.down(name)
    return found
