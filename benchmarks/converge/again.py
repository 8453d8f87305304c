"""A converged host converged again: each contender in turn, at several latencies."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.converge import contenders, reference
from benchmarks.converge.contenders import OURS, PLAIN, Contender, Line
from benchmarks.converge.proxy import Proxy
from lab import lifecycle
from tests.lab import templates
from tests.lab.playbook import LabHost, shell
from tests.lab.project import state

# Ratios that were asked for: contender to how many times as long as hostwright it takes, at least.
WANTED = {
    0: {"Ansible, pipelining": 20.0, "Ansible, mitogen": 6.0, PLAIN: 3.0},
    100: {"Ansible, pipelining": 20.0, "Ansible, mitogen": 4.0, PLAIN: 6.0},
}


@contextmanager
def far(host: LabHost, milliseconds: int, place: Path) -> Iterator[tuple[Line, Proxy]]:
    """Reach a host through a proxy, so many milliseconds of round trip away."""
    proxy = Proxy(host.address, host.port, milliseconds / 1000)
    known = place / f"known-{proxy.port}"
    keys = [line.split(None, 1)[1] for line in host.known_hosts.read_text().splitlines() if line.strip()]
    known.write_text("".join(f"[127.0.0.1]:{proxy.port} {key}\n" for key in keys))
    try:
        yield Line("127.0.0.1", proxy.port, known), proxy
    finally:
        proxy.close()


def timed(contender: Contender, host: LabHost, line: Line) -> float:
    began = time.monotonic()
    contender.run(host, line)
    return round(time.monotonic() - began, 2)


@dataclass(frozen=True)
class Measured:
    """
    What was measured at one latency, by label.

    + seconds: of each run
    + medians, ratios: in seconds, and to hostwright's
    + turns: how often the client spoke after the host had, the login included
    """

    seconds: dict[str, list[float]]
    medians: dict[str, float]
    ratios: dict[str, float]
    turns: dict[str, int]


def touches(all_of_them: list[Contender], host: LabHost) -> dict[str, list[str]]:
    """
    Have each converge the host again; return what is then not as it was: files, mtimes, PIDs, catalog.

    AssertionError where hostwright changed any.
    """
    found: dict[str, list[str]] = {}
    line = Line(host.address, host.port, host.known_hosts)
    for one in all_of_them:
        one.run(host, line)  # the first time it makes directories for itself
        before = state(host)
        one.run(host, line)
        after = state(host)
        # A run of hostwright leaves its line in the ledger, and nothing else.
        found[one.label] = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if found[OURS]:
        raise AssertionError(f"a run that changes nothing changed {found[OURS]}")
    return found


def measured(
    all_of_them: list[Contender], host: LabHost, milliseconds: int, times: int, place: Path
) -> Measured:
    """Measure each contender, alternating; without latency there is nothing between it and the host."""
    with far(host, milliseconds, place) as (line, proxy):
        turns: dict[str, int] = {}
        for one in all_of_them:
            one.run(host, line)  # fills caches, and opens the connection of who keeps it open
            with proxy.counting() as counted:
                one.run(host, line)
            turns[one.label] = counted[0]
        if not milliseconds:
            line = Line(host.address, host.port, host.known_hosts)
            for one in all_of_them:
                one.run(host, line)
        seconds: dict[str, list[float]] = {one.label: [] for one in all_of_them}
        for _ in range(times):
            for one in all_of_them:
                seconds[one.label].append(timed(one, host, line))
    medians = {label: statistics.median(found) for label, found in seconds.items()}
    ratios = {label: round(median / medians[OURS], 2) for label, median in medians.items()}
    return Measured(seconds, medians, ratios, turns)


def table(found: dict[int, Measured]) -> str:
    """Return what was measured, for people."""
    lines = ["| converged again | " + " | ".join(f"{one} ms" for one in found) + " | turns of talk |"]
    lines.append("|---" * (len(found) + 2) + "|")
    first = next(iter(found.values()))
    for label in first.medians:
        cells = [f"{one.medians[label]:.2f} s ({one.ratios[label]:.1f} x)" for one in found.values()]
        lines.append(f"| {label} | {' | '.join(cells)} | {first.turns[label]} |")
    return "\n".join(lines)


def slow(found: dict[int, Measured]) -> list[str]:
    """Say which ratio is below what was asked for."""
    return [
        f"at {milliseconds} ms {label} takes {one.ratios[label]} times as long as hostwright, not {wanted}"
        for milliseconds, one in found.items()
        for label, wanted in WANTED.get(milliseconds, {}).items()
        if one.ratios[label] < wanted
    ]


@contextmanager
def converged(image: str) -> Iterator[LabHost]:
    """Give a host that hostwright converged, and on which Ansible's modules find what they need."""
    name = f"bench-{image}"
    try:
        with templates.disk("deployed", image) as saved:
            up = lifecycle.up(name, image=image, disk=saved)
        host = LabHost(name, image, up.address, up.key, up.known_hosts)
        templates.settled(host, "deployed")
        shell(host, "apt-get -qq install -y python3-apt python3-psycopg2 >/dev/null", timeout=120)
        yield host
    finally:
        lifecycle.down(name)


def all_measured(
    host: LabHost, programs: Path, round_trips: list[int], times: int, place: Path
) -> tuple[dict[str, list[str]], dict[int, Measured]]:
    """
    Return what each contender touches of a converged host, and what was measured at each latency.

    + programs: directory of the programs of Ansible's environment
    + round_trips: in milliseconds
    + place: directory for what the contenders are given
    """
    files = reference.gathered(host, place)
    all_of_them = [
        contenders.hostwright(OURS, "fast", host, place),
        contenders.hostwright(PLAIN, "plain", host, place),
        contenders.ansible("Ansible, mitogen", programs, files, mitogen=True),
        contenders.ansible("Ansible, pipelining", programs, files, mitogen=False),
        contenders.floor(),
    ]
    touched = touches(all_of_them, host)
    print("touched", json.dumps(touched), flush=True)
    found = {}
    for milliseconds in round_trips:
        found[milliseconds] = measured(all_of_them, host, milliseconds, times, place)
        print(milliseconds, json.dumps(asdict(found[milliseconds])), flush=True)
    return touched, found
