"""Many converged hosts converged again, in one run: how long it takes, and how much memory the controller."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.converge.contenders import OURS, PLAIN, PROJECT, nothing_changed
from lab import lifecycle
from tests.lab import templates
from tests.lab.playbook import LabHost

KIND = "deployed"
# How many times as long as one host all of them may take, and how much memory.
WANTED, WANTED_MIB = 5.0, 250
CONNECTORS = {OURS: "fast", PLAIN: "plain"}


@dataclass(frozen=True)
class Many:
    """
    What was measured, by number of hosts.

    + seconds: of each run, by label and number of hosts
    + medians: in seconds, likewise
    + ratios: to the median of one host
    + mebibytes: of memory at most, of the controller's process
    """

    seconds: dict[str, dict[int, list[float]]]
    medians: dict[str, dict[int, float]]
    ratios: dict[str, dict[int, float]]
    mebibytes: dict[str, dict[int, int]]


@contextmanager
def up(count: int, image: str) -> Iterator[list[LabHost]]:
    """Give that many hosts with the example on them."""
    with ExitStack() as ends:
        hosts = []
        with templates.disk(KIND, image) as saved:
            for number in range(count):
                name = f"bench-many-{number}"
                ends.callback(lifecycle.down, name)
                made = lifecycle.up(name, image=image, disk=saved)
                hosts.append(LabHost(name, image, made.address, made.key, made.known_hosts))
        for host in hosts:
            templates.settled(host, KIND)
        yield hosts


def timed(hosts: list[LabHost], connector: str, cache: Path) -> tuple[float, int]:
    """Converge these hosts in one run; return seconds, and the controller's memory at most in MiB."""
    names = ",".join(host.name for host in hosts)
    words = [
        str(Path(sys.executable).with_name("pyinfra")),
        "-y",
        "--json",
        "inventories/lab.py",
        "deploy.py",
    ]
    environ = {
        "HOSTWRIGHT_LAB_HOSTS": names,
        "HOSTWRIGHT_CACHE": str(cache),
        "HOSTWRIGHT_CONNECTOR": connector,
    }
    began = time.monotonic()
    process = subprocess.Popen(
        words, cwd=PROJECT, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    said = process.stdout.read() if process.stdout is not None else ""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if os.waitstatus_to_exitcode(status) != 0 or not nothing_changed(said):
        raise AssertionError(f"{len(hosts)} hosts that were converged were not left alone:\n{said[-4000:]}")
    return round(seconds, 2), used.ru_maxrss // 1024


def measured(counts: list[int], image: str, times: int, cache: Path) -> Many:
    """
    Measure runs on so many hosts, alternating.

    + counts: numbers of hosts, the first of them 1
    """
    seconds: dict[str, dict[int, list[float]]] = {label: {one: [] for one in counts} for label in CONNECTORS}
    memory: dict[str, dict[int, int]] = {label: dict.fromkeys(counts, 0) for label in CONNECTORS}
    with up(max(counts), image) as hosts:
        for turn in range(times + 1):
            for label, connector in CONNECTORS.items():
                for count in counts:
                    took, used = timed(hosts[:count], connector, cache)
                    if turn == 0:
                        continue  # fills the caches
                    seconds[label][count].append(took)
                    memory[label][count] = max(memory[label][count], used)
            print("many hosts", seconds, memory, flush=True)
    medians = {
        label: {count: statistics.median(found) for count, found in by_count.items()}
        for label, by_count in seconds.items()
    }
    ratios = {
        label: {count: round(median / found[counts[0]], 2) for count, median in found.items()}
        for label, found in medians.items()
    }
    return Many(seconds, medians, ratios, memory)


def missed(found: Many) -> list[str]:
    """Say which number of hosts takes longer, or more memory, than was asked for."""
    ratios, used = found.ratios[OURS], found.mebibytes[OURS]
    said = [
        f"{count} hosts take {ratio} times as long as one, not {WANTED}"
        for count, ratio in ratios.items()
        if ratio > WANTED
    ]
    return said + [
        f"{count} hosts take {mebibytes} MiB of memory, not {WANTED_MIB}"
        for count, mebibytes in used.items()
        if mebibytes > WANTED_MIB
    ]
