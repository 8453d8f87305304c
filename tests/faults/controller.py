"""Runs of deploy.py from the copies, with their output kept."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.playbook import PROJECT, PYINFRA


@dataclass(frozen=True)
class Operation:
    """
    One operation of the upgrade.

    + index: from 1, as the run counts them
    + name: as it shows it
    + changes: whether it changed something in the clean run
    """

    index: int
    name: str
    changes: bool


@dataclass
class Controller:
    """One run of deploy.py."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def ended(self, seconds: float) -> bool:
        """Wait for its end that long; return whether it came by itself, and kill it where it did not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True


def start(project: Path, host: str, output: Path, *flags: str, **given: str) -> Controller:
    """
    Start deploy.py.

    + project: copy of the project
    + host: the one lab host that it may touch
    + output: file that takes all that it says
    + flags: more for pyinfra
    + given: more of the environment
    """
    state = os.environ.get("HOSTWRIGHT_LAB_STATE", str(PROJECT / ".lab"))
    env = {**os.environ, "HOSTWRIGHT_LAB_HOSTS": host, "HOSTWRIGHT_LAB_STATE": state, **given}
    command = [str(PYINFRA), "-y", *flags, "--limit", host, "inventories/lab.py", "deploy.py"]
    with output.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=project, env=env, stdin=subprocess.DEVNULL, stdout=file,
            stderr=file if "--json" not in flags else subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    return Controller(process, output)


def operations(output: str) -> list[Operation]:
    """Return the operations of a run from what its `--json` printed."""
    found = json.loads(output)["results"]["operations"]
    return [Operation(number, one["name"], bool(one["success"])) for number, one in enumerate(found, start=1)]
