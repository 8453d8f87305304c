"""The hosts of an inventory and their settings, from pyinfra itself: no second list that could drift."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError

import settings
from settings import Settings
from settings.app import App
from settings.groups import apps_declared
from settings.service import ServiceSettings

PROJECT = Path(__file__).resolve().parent
PYINFRA = Path(sys.executable).with_name("pyinfra")
# Reading an inventory asks no host; a lab or cloud inventory may start a program.
TIMEOUT_SECONDS = 60
# Groups that each host of an inventory is in, beside the one that is named after the inventory.
OF_ALL = ("all", "hosts")


class InventoryError(PyinfraError):
    """What is wrong with the inventory, and what to do."""


@dataclass(frozen=True)
class Service:
    """One service of an app, by name."""

    app: App
    key: str
    settings: ServiceSettings

    @property
    def variables(self) -> dict[str, str]:
        """The variables of this service alone."""
        return dict(self.settings.variables)

    @property
    def supervised(self) -> bool:
        """Whether a supervisor runs it."""
        return self.app.supervised

    @property
    def port(self) -> int | None:
        """Where it listens."""
        return self.settings.port

    @property
    def public(self) -> bool:
        """Whether other machines may reach its port."""
        return self.settings.public

    @property
    def private(self) -> bool:
        """Whether it has a port that only its own host may reach."""
        return self.settings.port is not None and not self.settings.public

    @property
    def health(self) -> str | None:
        """Path that must answer 200."""
        return self.settings.health

    @property
    def public_health(self) -> str | None:
        """Path that must answer 200 to other machines."""
        return self.settings.health if self.settings.public else None

    @property
    def page_contains(self) -> str | None:
        """Text that its page must contain."""
        return self.settings.page_contains


@dataclass(frozen=True)
class DeclaredHost:
    """
    One host of an inventory.

    + name: what it is called in output
    + data: as pyinfra merged it
    + settings: what is declared for it
    + groups: that pyinfra has it in, in their order
    """

    name: str
    data: dict[str, Any] = field(repr=False)
    settings: Settings = field(repr=False)
    groups: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Where it is reached from here."""
        return str(self.data.get("ssh_hostname") or self.name)

    @property
    def ssh_port(self) -> int:
        """The port that its sshd listens on."""
        return int(self.data.get("ssh_port") or 22)

    @property
    def sudo(self) -> bool:
        """Whether its login is not root and uses sudo."""
        return bool(self.data.get("_sudo"))

    @property
    def role(self) -> str:
        """What it is among its inventory's hosts: its own groups, such as "portfolio"; "" without any."""
        others = (one for one in self.groups if one not in (self.settings.environment, *OF_ALL))
        return "+".join(dict.fromkeys(others))

    def services(self, app: App) -> list[Service]:
        """Return the services of one of its apps."""
        return [Service(app, key, one) for key, one in app.services.items()]


def read(inventory: str, limit: str | None = None) -> list[DeclaredHost]:
    """
    Return the hosts of an inventory file with their settings.

    + inventory: path, relative to the current directory
    + limit: name of the only host that is wanted, default all

    Raises InventoryError, SettingsError.

    Example: `read("inventories/staging.py")`
    """
    path = Path(inventory)
    if not path.is_file():
        known = ", ".join(sorted(f"inventories/{one.name}" for one in (PROJECT / "inventories").glob("*.py")))
        raise InventoryError(f"inventory {inventory!r} does not exist; there are: {known}")
    # In a process of its own: pyinfra's command line patches this process's sockets and threads with gevent.
    done = subprocess.run(
        [str(PYINFRA), str(path.resolve()), "debug-inventory", "--json"],
        cwd=PROJECT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if not line.endswith("...")]
        raise InventoryError(f"pyinfra cannot read {inventory}:\n" + "\n".join(said or ["(no reason given)"]))
    listed = json.loads(done.stdout)
    if not listed:
        raise InventoryError(f"inventory {inventory} has no hosts; name one there")
    chosen = [one for one in listed if limit in (None, one["name"])]
    if not chosen:
        names = ", ".join(one["name"] for one in listed)
        raise InventoryError(f"--limit {limit}: {inventory} has no host of that name; it has: {names}")
    return [_host(one["name"], one["data"], one["groups"], inventory) for one in chosen]


def _host(label: str, data: dict[str, Any], groups: list[str], inventory: str) -> DeclaredHost:
    loaded = settings.load(data, f"{inventory}, host {label}", elsewhere=apps_declared(PROJECT))
    expected = Path(inventory).stem
    if loaded.environment != expected:
        raise InventoryError(
            f"environment is {loaded.environment!r} but the inventory is {inventory}; "
            f"set environment = {expected!r} in group_data/{expected}.py"
        )
    return DeclaredHost(label, data, loaded, tuple(groups))
