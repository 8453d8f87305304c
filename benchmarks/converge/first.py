"""A first converge of a bare host: hostwright beside a shell script on the host itself, in one run."""

from __future__ import annotations

import json
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.converge import reference
from benchmarks.converge.contenders import HERE, OURS, verb
from lab import lifecycle
from tests.lab.playbook import LabHost, shell, ssh

SCRIPT = "a shell script on the host"
GIVEN = "/root/given"
SECONDS = 900
# How long hostwright may take of what the script takes.
WANTED = 1.15


@dataclass(frozen=True)
class First:
    """
    What was measured of first converges.

    + seconds: of each run, by label
    + medians: by label
    + ratio: hostwright's median to the script's
    + drift: what drift.py says of the host that the script made: nothing, where both made the same
    """

    seconds: dict[str, list[float]]
    medians: dict[str, float]
    ratio: float
    drift: list[dict[str, Any]]


@contextmanager
def bare(name: str, image: str) -> Iterator[LabHost]:
    """Give a host that was just booted from the bare image, and has ended its first boot."""
    up = lifecycle.up(name, image=image)
    try:
        host = LabHost(name, image, up.address, up.key, up.known_hosts)
        ssh(host, "systemctl is-system-running --wait", timeout=SECONDS)
        # The lab lends a host the package lists of the one before: only the script would fetch them again.
        shell(host, "find /var/lib/apt/lists -type f -delete")
        yield host
    finally:
        lifecycle.down(name)


def by_script(host: LabHost, packed: reference.Packed) -> Callable[[], None]:
    """Put what the script needs on the host, which is not measured, and return what runs it."""
    with BytesIO() as held:
        with tarfile.open(fileobj=held, mode="w") as archive:
            for name, content in {**packed.files, "first.sh": (HERE / "first.sh").read_bytes()}.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o600
                archive.addfile(member, BytesIO(content))
        reference.sent(host, f"mkdir -m 0700 {GIVEN} && tar -C {GIVEN} -x", held.getvalue())
    words = f"cd {GIVEN} && sh first.sh {packed.release} {packed.venv} {packed.pg}"

    def run() -> None:
        shell(host, words, timeout=SECONDS)

    return run


def drift(host: LabHost, cache: Path) -> list[dict[str, Any]]:
    """Return what drift.py tells of a host."""
    rc, stdout, stderr = verb(host, "drift.py", cache, "--json")
    found = json.loads(stdout)["hosts"][host.name] if stdout else {"errors": [stderr[-4000:]]}
    if rc == 1:
        raise AssertionError(f"drift.py could not ask {host.name}: {found['errors']}")
    return list(found["differences"])


def measured(packed: reference.Packed, image: str, times: int, cache: Path) -> First:
    """
    Measure both on bare hosts, alternating.

    + packed: what the script needs, of a host that hostwright converged
    """
    seconds: dict[str, list[float]] = {SCRIPT: [], OURS: []}
    found: list[dict[str, Any]] = []
    for turn in range(times):
        with bare(f"bench-script-{turn}", image) as host:
            run = by_script(host, packed)
            began = time.monotonic()
            run()
            seconds[SCRIPT].append(round(time.monotonic() - began, 2))
            found = found or drift(host, cache)
        with bare(f"bench-first-{turn}", image) as host:
            began = time.monotonic()
            rc, stdout, stderr = verb(host, "deploy.py", cache, "-y")
            seconds[OURS].append(round(time.monotonic() - began, 2))
            if rc != 0:
                raise AssertionError(f"the first deploy failed:\n{stdout[-2000:]}\n{stderr[-4000:]}")
        print("first converge", {label: one[-1] for label, one in seconds.items()}, flush=True)
    medians = {label: statistics.median(one) for label, one in seconds.items()}
    return First(seconds, medians, round(medians[OURS] / medians[SCRIPT], 3), found)


def missed(found: First) -> list[str]:
    """Say what is not as it was asked for."""
    said = [f"the script's host is not as declared: {one}" for one in found.drift]
    if found.ratio > WANTED:
        said.append(f"a first converge takes {found.ratio} times as long as the script, not {WANTED}")
    return said
