"""Break something outside of the run: `python -m tests.faults.strike cut|power|unwatched HOST`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lab
from tests.faults.machine import Machine


def unwatch(machine: Machine) -> None:
    """Disable the host's own undo on purpose: what the matrix must then see is a mixture."""
    # Without this file the run's next sign of life would start the timer again.
    machine.do("touch", "/var/lib/hostwright/trial/undoing")
    machine.do("systemctl", "stop", "hostwright-undo.timer", "hostwright-watch.service")
    machine.do("systemctl", "disable", "hostwright-undo.service")


def main(kind: str, name: str) -> None:
    machine = Machine(name, Path(), {})
    if kind == "cut":
        lab.cut(name)
    elif kind == "power":
        machine.power_cut()
    elif kind == "unwatched":
        unwatch(machine)
    else:
        raise SystemExit(f"there is no fault {kind!r}; there are: cut, power, unwatched")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except subprocess.SubprocessError as error:
        raise SystemExit(str(error)) from None
