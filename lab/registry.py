"""What the hosts of all clones share on this machine: addresses, the way out, and kernel settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import cgroups, network, places, sysctls
from lab.locks import locked
from lab.run import run

log = logging.getLogger("lab")
_FORMER = "settings-before.json"


def _entries() -> Path:
    return places.MACHINE / "hosts"


@contextmanager
def _alone() -> Iterator[None]:
    _entries().mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(places.MACHINE / "lock"):
        yield


def _read() -> dict[str, dict[str, str]]:
    return {entry.stem: json.loads(entry.read_text()) for entry in _entries().glob("*.json")}


def claim(machine_id: str, directory: Path, wanted: str = "") -> tuple[str, str]:
    """
    Give a host its addresses, cable and way out; return the machine's address and the host's.

    + machine_id: the host's name on this machine.
    + directory: where it is kept, for whoever finds it abandoned.
    + wanted: the address it had before; default any. Asking again changes nothing.

    Raises `LabError` when no address is left.
    """
    with _alone():
        _forget_abandoned()
        entries = _read()
        mine = entries.pop(machine_id, None)
        if mine is not None:
            gateway, address = mine["gateway"], mine["address"]
        else:
            gateway, address = network.free_cable(
                machine_id, [e["gateway"] for e in entries.values()], wanted
            )
        sysctls.keep(places.MACHINE / _FORMER)
        entry = {"gateway": gateway, "address": address, "directory": str(directory)}
        aside = _entries() / f"{machine_id}.new"
        aside.write_text(json.dumps(entry))
        aside.rename(_entries() / f"{machine_id}.json")
        sysctls.allow()
        network.open_out()
        network.lay(machine_id, gateway)
    return gateway, address


def release(machine_id: str) -> None:
    """Take back what `claim` gave; after the last host of the machine, the way out is closed too."""
    with _alone():
        _forget(machine_id)
        _forget_abandoned()
        if not _read():
            network.close_out()
            left = sysctls.put_back(places.MACHINE / _FORMER)
            if left:
                log.warning("the kernel would not take back its former setting of: %s", ", ".join(left))


def directories() -> dict[str, Path]:
    """Return where the hosts of all clones are kept, by their names on this machine."""
    return {machine_id: Path(entry["directory"]) for machine_id, entry in _read().items()}


def _forget(machine_id: str) -> None:
    network.remove(machine_id)
    cgroups.remove(machine_id)
    for leftover in ("propagate", "unix-export"):
        place = Path("/run/systemd/nspawn") / leftover / machine_id
        if place.exists():
            run("rm", "--recursive", "--force", "--one-file-system", place)
    (_entries() / f"{machine_id}.json").unlink(missing_ok=True)


def is_abandoned(directory: Path) -> bool:
    """Tell whether a host lost its record: removing a clone leaves what is mounted in it."""
    return not (directory / "host.json").exists()


def _forget_abandoned() -> None:
    """Clear away hosts whose clone was deleted, once nothing of them runs any more."""
    for machine_id, directory in directories().items():
        if not directory.exists() and not cgroups.processes(machine_id):
            _forget(machine_id)
