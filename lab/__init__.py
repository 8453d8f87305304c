"""
Test hosts: real systemd machines on this one, from cached images, in seconds.

    import lab

    host = lab.up("web1")[0]
    subprocess.run(host.ssh("systemctl", "is-system-running"))
    lab.down("web1")
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from lab import lifecycle as _lifecycle
from lab import state as _state
from lab.errors import LabError, MissingError
from lab.lifecycle import boot, cut, find, heal, kill
from lab.ssh import PORT as _PORT
from lab.state import Host

# How the names of hosts begin that tests make for themselves.
TESTS = "test-"

__all__ = [
    "Host",
    "LabError",
    "MissingError",
    "boot",
    "cut",
    "down",
    "find",
    "heal",
    "hosts",
    "inventory_groups",
    "inventory_hosts",
    "kill",
    "up",
]


def up(
    *names: str,
    image: str | None = None,
    groups: tuple[str, ...] | None = None,
    memory: int | None = None,
) -> list[Host]:
    """
    Bring hosts up at the same time, and return them in the order asked.

    + names: one or more host names. + image: "bookworm" (default), "trixie", "jammy" or "noble".
    + groups: files of group_data/ that they get; default those that they have.
    + memory: bytes that each has, default as many as this machine has.

    Raises `LabError` for the first that does not come up, after all others did or did not.

        web, db = lab.up("web1", "db1", image="trixie")
    """
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(
            pool.map(lambda name: _lifecycle.up(name, image=image, groups=groups, memory=memory), names)
        )


def down(*names: str) -> None:
    """
    Remove hosts and everything of them, at the same time; those that are not there are fine.

    Raises `LabError` for the first that could not be removed.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        list(pool.map(_lifecycle.down, names))


def hosts() -> list[Host]:
    """Return this clone's hosts that were made whole, up or not, by name."""
    return [host for host in _state.load_all() if host.ready]


def inventory_hosts(*names: str, user: str | None = None) -> list[tuple[str, dict[str, object]]]:
    """
    Return this clone's hosts that are up, as pyinfra's inventory files want them.

    + names: only these, in this order; default those of HOSTWRIGHT_LAB_HOSTS (separated by commas), and
      without it all but the ones that tests made. + user: "root", or "admin", who has sudo; default
      HOSTWRIGHT_LAB_USER, and without it "root".

    Raises `LabError` when a host that is named is not up.

        web = lab.inventory_hosts("web1")
    """
    user = user or os.environ.get("HOSTWRIGHT_LAB_USER") or "root"
    chosen = _chosen(names)
    for host in chosen:
        if host.state == "off":
            raise LabError(f"'{host.name}' is off; start it with `python -m lab boot {host.name}`")
    return [(host.name, _connection(host, user)) for host in chosen]


def inventory_groups(*names: str) -> dict[str, list[str]]:
    """
    Return the groups of the hosts that `inventory_hosts` returns: names of hosts by group.

    + names: as there.

        globals().update(lab.inventory_groups())
    """
    found: dict[str, list[str]] = {}
    for host in _chosen(names):
        for group in host.groups:
            found.setdefault(group, []).append(host.name)
    return found


def _chosen(names: tuple[str, ...]) -> list[Host]:
    names = names or tuple(word for word in os.environ.get("HOSTWRIGHT_LAB_HOSTS", "").split(",") if word)
    up = [host for host in hosts() if host.state != "off" and not host.name.startswith(TESTS)]
    return [find(name) for name in names] if names else up


def _connection(host: Host, user: str) -> dict[str, object]:
    return {
        "ssh_hostname": host.address,
        "ssh_port": _PORT,
        "ssh_user": user,
        "ssh_key": str(host.key),
        "ssh_known_hosts_file": str(host.known_hosts),
        "ssh_strict_host_key_checking": "yes",
        **({} if user == "root" else {"_sudo": True}),
    }
