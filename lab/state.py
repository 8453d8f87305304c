"""What is known of this clone's hosts: one JSON file each, beside the host's disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import cgroups, places
from lab.errors import LabError
from lab.locks import is_locked, locked
from lab.run import run

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


# OpenSSH's first choice, safe from quantum computers, takes 0.12 s of a core on each side, this one 0.01 s;
# what travels here does not leave the machine.
KEY_EXCHANGE = "curve25519-sha256"


@dataclass(frozen=True)
class Host:
    """
    One test host.

    + name: as its user calls it; unique in its clone. + image: what it was made from.
    + address, gateway: its own IPv4 address, and this machine's on the same cable.
    + ready: it came up once; not so, it is half-made. + cut: its network is cut on purpose.
    + groups: files of group_data/ that it gets besides the lab's own.
    + memory: bytes that it has, None for as many as this machine has.
    """

    name: str
    image: str
    directory: Path
    address: str = ""
    gateway: str = ""
    ready: bool = False
    cut: bool = False
    groups: tuple[str, ...] = ()
    memory: int | None = None

    @property
    def id(self) -> str:
        """Its name on this machine: other clones may have a host of the same name."""
        return machine_id(self.directory)

    @property
    def root(self) -> Path:
        """Its disk, as a directory of this machine."""
        return self.directory / "root"

    @property
    def log(self) -> Path:
        """What its console and systemd-nspawn said."""
        return self.directory / "console.log"

    @property
    def known_hosts(self) -> Path:
        """The known_hosts file with its host key."""
        return self.directory / "known_hosts"

    @property
    def key(self) -> Path:
        """The private key that opens it, as root and as admin."""
        return self.directory.parents[1] / "key"

    @property
    def state(self) -> str:
        """Return "up", "cut", "off" (killed or shut down), "starting" or "half-made"."""
        if not self.ready:
            return "starting" if is_locked(lock_file(self.name)) else "half-made"
        if not cgroups.processes(self.id):
            return "off"
        return "cut" if self.cut else "up"

    def ssh(self, *command: str, user: str = "root") -> list[str]:
        """
        Return the ssh command line that logs in, or runs a command.

        + command: words to run there; default a shell. + user: "root" (default) or "admin", who has sudo.

            subprocess.run(host.ssh("systemctl", "is-system-running"))
        """
        options = [
            "IdentitiesOnly=yes",
            f"IdentityFile={self.key}",
            f"UserKnownHostsFile={self.known_hosts}",
            "StrictHostKeyChecking=yes",
            "BatchMode=yes",
            "LogLevel=ERROR",
            f"KexAlgorithms={KEY_EXCHANGE}",
        ]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "none", *words, f"{user}@{self.address}", *command]

    def save(self) -> Host:
        """Write it down, in one rename."""
        values = {**dataclasses.asdict(self), "directory": str(self.directory)}
        aside = self.directory / "host.json.new"
        aside.write_text(json.dumps(values, indent=2) + "\n")
        places.give(aside, like=places.state())
        aside.rename(self.directory / "host.json")
        return self

    def with_(
        self, *, cut: bool | None = None, ready: bool | None = None, groups: tuple[str, ...] | None = None
    ) -> Host:
        """Return the host with a changed mark, and write it down."""
        changes = {"cut": cut, "ready": ready, "groups": groups}
        given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given).save()


def machine_id(directory: Path) -> str:
    """Return a host's name on this machine, from where it is kept: short, so that "vb-" fits before it."""
    return "hwl-" + hashlib.sha256(str(directory).encode()).hexdigest()[:8]


def check_name(name: str) -> str:
    """Return the name, or raise `LabError` when it cannot be a host name."""
    if not _NAME.fullmatch(name):
        raise LabError(
            f"'{name}' cannot be a host name; use small letters, digits and '-', at most 32, like 'web1'"
        )
    return name


def directory_of(name: str) -> Path:
    """Return the directory of a host of this clone, there or not."""
    return places.state() / "hosts" / check_name(name)


def lock_file(name: str) -> Path:
    """Return the lock of a host of this clone: held while it is made, started, stopped or removed."""
    return places.state() / "locks" / check_name(name)


@contextmanager
def alone(name: str) -> Iterator[int]:
    """Be the only one who makes, starts, stops or removes this host; yield the lock, for children to hold."""
    places.make_state()
    with locked(lock_file(name)) as lock:
        places.give(lock_file(name), like=places.state())
        yield lock


def load(name: str) -> Host | None:
    """Return the host of that name, half-made or whole, or None."""
    directory = directory_of(name)
    try:
        values = json.loads((directory / "host.json").read_text())
    except FileNotFoundError:
        return Host(name, "", directory) if directory.exists() else None
    except PermissionError:
        raise LabError(
            f"{places.state()} belongs to another user; use sudo, or HOSTWRIGHT_LAB_STATE"
        ) from None
    return Host(**{**values, "directory": directory, "groups": tuple(values.get("groups", ()))})


def load_all() -> list[Host]:
    """Return this clone's hosts, half-made ones too, by name."""
    directory = places.state() / "hosts"
    names = sorted(one.name for one in directory.iterdir() if one.is_dir()) if directory.is_dir() else []
    return [host for host in map(load, names) if host is not None]


def make_key() -> Path:
    """Return the private key of this clone's hosts, made on first use; hold a lock around it."""
    key = places.make_state() / "key"
    if not key.exists():
        aside = key.with_name("key.new")
        for old in (aside, aside.with_name("key.new.pub")):
            old.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hostwright-lab", "-f", aside)
        for path in (aside, aside.with_name("key.new.pub")):
            places.give(path, like=places.state())
        aside.with_name("key.new.pub").rename(key.with_name("key.pub"))
        aside.rename(key)
    return key
