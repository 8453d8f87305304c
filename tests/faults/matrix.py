"""Hosts for the matrix, made ready: release 1 on a saved disk, references of both, the list of operations."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import lab
from lab import lifecycle
from tests.faults import cell, controller
from tests.faults.machine import Machine, MatrixError
from tests.faults.upgrade import HEALTH, NEW
from tests.lab import templates

# With what an overloaded machine makes of it.
FIRST_DEPLOY = 900

# In a container systemd leaves the swap of fstab alone; a real host turns it on early at each boot.
SWAP_AT_BOOT = """
cat >/etc/systemd/system/matrix-swap.service <<END
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/sbin/swapon /swapfile
[Install]
WantedBy=sysinit.target
END
systemctl --quiet enable matrix-swap.service
"""


@dataclass(frozen=True)
class Ready:
    """One host at release 1, and all that is needed to break its upgrade."""

    machine: Machine
    references: cell.References
    operations: list[controller.Operation]


def ready(
    name: str, image: str, copies: tuple[Path, Path], place: Path, saved: Path, template: str = "packages"
) -> Ready:
    """
    Make a host, deploy release 1, save its disk, and upgrade it once undisturbed.

    + name: of the lab host
    + image: as for the lab
    + copies: of the project, at release 1 and 2
    + place: empty directory for what is said
    + saved: file for its disk
    + template: what its disk is before release 1, as for tests.lab.templates.disk, default "packages"

    Raises MatrixError where a run that nobody disturbs does not end well.
    """
    with templates.disk(template, image) as disk:
        lifecycle.up(name, image=image, disk=disk)
    machine = Machine(name, saved, HEALTH)
    deploy(machine, copies[0], place / "release-1.log")
    machine.do("sh", "-c", SWAP_AT_BOOT)
    cell.prepare(machine)
    settled(machine, NEW)
    # ufw.service is there only from the first boot on.
    machine.shut_down()
    machine.save()
    lab.boot(name)
    settled(machine, NEW)
    one = {mode: machine.look(mode) for mode in ("quick", "full")}
    deploy(machine, copies[1], place / "release-2.json", "--json")
    operations = controller.operations((place / "release-2.json").read_text(encoding="utf-8"))
    settled(machine)
    two = {mode: machine.look(mode) for mode in ("quick", "full")}
    return Ready(machine, cell.References(one, two), operations)


def deploy(machine: Machine, project: Path, output: Path, *flags: str) -> None:
    """Run deploy.py to its end; raise MatrixError with what it said where it fails."""
    run = controller.start(project, machine.name, output, *flags)
    if not run.ended(FIRST_DEPLOY) or run.process.returncode != 0:
        raise MatrixError(
            f"{machine.name}: deploy.py ended with {run.process.returncode}:\n{run.text()[-4000:]}"
        )


def settled(machine: Machine, *silent: str, seconds: float = 120) -> None:
    """Wait until every service runs and is healthy, but for silent ports, and nothing is left of a run."""
    end = time.monotonic() + seconds
    while True:
        seen = machine.look("full")
        programs = seen["release"]["programs"]
        running = isinstance(programs, dict) and {one["state"] for one in programs.values()} == {"RUNNING"}
        pages = seen["release"]["pages"]
        healthy = isinstance(pages, dict) and all(
            status == (None if port in silent else 200) for port, status in pages["health"].items()
        )
        left = [*seen["left"]["files"], *([seen["left"]["lock"]] if seen["left"]["lock"] else [])]
        unseen = [
            f"{part} {value}" for group in seen.values() for part, value in group.items()
            if str(value).startswith("cannot be seen")
        ]  # fmt: skip
        if (
            running
            and healthy
            and not left
            and not unseen
            and seen["release"]["system"]["running"] != ["starting"]
        ):
            return
        if time.monotonic() > end:
            raise MatrixError(f"{machine.name} does not settle: {running=}, {pages}, {left}, {unseen}")
        time.sleep(1)


def host_name(label: str) -> str:
    """Return a name for a host that is taken down with the tests' own where this process dies."""
    return f"test-{os.getpid()}-faults-{label}"
