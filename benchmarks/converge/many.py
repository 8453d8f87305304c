"""Many converged hosts in one run, converged again and looked at: how long, and how much memory here."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.converge import calm
from benchmarks.converge.contenders import OURS, PLAIN, changed, nothing_changed
from lab import places
from tests.lab.playbook import LabHost

T = TypeVar("T")
WANTED_MIB = 250
LOOK = "hostwright, diagnose.py"


@dataclass(frozen=True)
class Verb:
    """
    What is done with many hosts at once.

    + file: of the verb
    + connector: how they are reached
    + done: whether its output says so, given how many hosts there are
    + wanted: how many times as long as for one host it may take; None: it is there to compare with
    """

    file: str
    connector: str
    done: Callable[[str, int], bool]
    wanted: float | None


def looked_at(said: str, count: int) -> bool:
    """Tell from the JSON of diagnose.py whether it has that many hosts."""
    found = json.loads(said)
    return len(found["hosts"]) == count and not found["errors"]


def left_alone(said: str, _count: int) -> bool:
    return nothing_changed(said)


VERBS = {
    OURS: Verb("deploy.py", "fast", left_alone, 5.0),
    PLAIN: Verb("deploy.py", "plain", left_alone, None),
    LOOK: Verb("diagnose.py", "fast", looked_at, 3.0),
}


@dataclass(frozen=True)
class Many:
    """
    What was measured, by number of hosts.

    + seconds: of each run, by label and number of hosts
    + medians: in seconds, likewise
    + ratios: to the median of one host
    + mebibytes: of memory at most, of the controller's process
    + cpu: medians of the CPU seconds of the controller's process: what is left where each host has a machine
      of its own, and not this one
    """

    seconds: dict[str, dict[int, list[float]]]
    medians: dict[str, dict[int, float]]
    ratios: dict[str, dict[int, float]]
    mebibytes: dict[str, dict[int, int]]
    cpu: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Run:
    """One run: how long it took and the controller computed, in seconds, and its memory at most in MiB."""

    seconds: float
    cpu: float
    mebibytes: int


def timed(hosts: list[LabHost], verb: Verb, project: Path, cache: Path) -> Run:
    """Do it with these hosts in one run from that project."""
    names = ",".join(host.name for host in hosts)
    words = [
        str(Path(sys.executable).with_name("pyinfra")),
        "-y",
        "--json",
        "inventories/lab.py",
        verb.file,
    ]
    environ = {
        "HOSTWRIGHT_LAB_HOSTS": names,
        "HOSTWRIGHT_LAB_STATE": str(places.state()),
        "HOSTWRIGHT_CACHE": str(cache),
        "HOSTWRIGHT_CONNECTOR": verb.connector,
        "XDG_STATE_HOME": str(cache / "state"),
    }
    began = time.monotonic()
    process = subprocess.Popen(
        words, cwd=project, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    said = process.stdout.read() if process.stdout is not None else ""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0 or not verb.done(said, len(hosts)):
        raise AssertionError(
            f"{verb.file} did not do what it should with {len(hosts)} hosts:\n{changed(said)[-4000:]}"
        )
    return Run(round(seconds, 2), round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss // 1024)


def measured(counts: list[int], image: str, times: int, cache: Path) -> Many:
    """
    Measure runs on so many hosts, alternating.

    + counts: numbers of hosts, the first of them 1
    + cache: empty directory for what hostwright keeps, for the project and for the hosts' disk
    """
    runs: dict[str, dict[int, list[Run]]] = {label: {one: [] for one in counts} for label in VERBS}
    project = calm.project(cache)
    with calm.hosts(max(counts), image, project, cache) as hosts:
        for turn in range(times + 1):
            for label, verb in VERBS.items():
                for count in counts:
                    run = timed(hosts[:count], verb, project, cache)
                    if turn > 0:  # the first fills the caches
                        runs[label][count].append(run)
            print("many hosts", runs, flush=True)
    medians = _of(runs, lambda some: statistics.median(run.seconds for run in some))
    ratios = {
        label: {count: round(median / found[counts[0]], 2) for count, median in found.items()}
        for label, found in medians.items()
    }
    return Many(
        seconds=_of(runs, lambda some: [run.seconds for run in some]),
        medians=medians,
        ratios=ratios,
        mebibytes=_of(runs, lambda some: max(run.mebibytes for run in some)),
        cpu=_of(runs, lambda some: statistics.median(run.cpu for run in some)),
    )


def _of(runs: dict[str, dict[int, list[Run]]], told: Callable[[list[Run]], T]) -> dict[str, dict[int, T]]:
    return {
        label: {count: told(some) for count, some in by_count.items()} for label, by_count in runs.items()
    }


def missed(found: Many) -> list[str]:
    """Say which number of hosts takes longer, or more memory, than was asked for."""
    said = []
    for label, verb in VERBS.items():
        if verb.wanted is None:
            continue
        said += [
            f"{label}: {count} hosts take {ratio} times as long as one, not {verb.wanted}"
            for count, ratio in found.ratios[label].items()
            if ratio > verb.wanted
        ]
        said += [
            f"{label}: {count} hosts take {mebibytes} MiB of memory, not {WANTED_MIB}"
            for count, mebibytes in found.mebibytes[label].items()
            if mebibytes > WANTED_MIB
        ]
    return said
