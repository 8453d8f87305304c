"""Make a droplet, once: what is there already stays as it is, and a lost answer never makes a second one."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from droplets.api import Api
from droplets.droplet import Droplet
from droplets.errors import DropletsError, LostError, NotThereError

log = logging.getLogger("droplets")


@dataclass(frozen=True)
class Wanted:
    """
    The droplet that is wanted.

    + name: unlike that of any other droplet of the account
    + tag: of its environment
    + region, size, image: slugs
    + tags: further ones, default none
    + vpc: id of its network, default None: the region's own
    """

    name: str
    tag: str
    region: str
    size: str
    image: str
    tags: tuple[str, ...] = ()
    vpc: str | None = None

    def request(self, keys: Sequence[str], user_data: str) -> dict[str, Any]:
        """Return what is asked of DigitalOcean; `keys` are fingerprints."""
        body: dict[str, Any] = {
            "name": self.name,
            "region": self.region,
            "size": self.size,
            "image": self.image,
            "ssh_keys": list(keys),
            "tags": [self.tag, *self.tags],
            # Its agent would come from a foreign package source, and make a service of its own.
            "monitoring": False,
            "backups": False,
            "user_data": user_data,
        }
        return body | ({"vpc_uuid": self.vpc} if self.vpc is not None else {})

    def differences(self, found: Droplet) -> list[str]:
        """Say in words how a droplet that is there differs; of what the token may not read, nothing."""
        pairs = [(what, getattr(self, what), getattr(found, what)) for what in ("region", "size", "image")]
        pairs += [("vpc", self.vpc, found.vpc)] if self.vpc is not None else []
        lines = [
            f"{what} is {there}, not {wanted}" for what, wanted, there in pairs if there not in ("", wanted)
        ]
        return lines + [f"the tag {tag} is missing" for tag in self.tags if not found.has(tag)]


def existing(api: Api, name: str, tag: str) -> Droplet | None:
    """
    Return the droplet of that name with the environment's tag, or None.

    Raises DropletsError for one without the tag, and where there are several.
    """
    found = [one for one in api.droplets(name=name) if one.name.lower() == name.lower()]
    if len(found) > 1:
        numbers = ", ".join(str(one.number) for one in found)
        raise DropletsError(
            f"{len(found)} droplets are called {name} (ids {numbers}); rename or destroy one first"
        )
    if found and not found[0].has(tag):
        raise DropletsError(
            f"a droplet {name} (id {found[0].number}) is there without the tag {tag!r}: it is another "
            "environment's, or nobody's; choose another name, or give it that tag"
        )
    return found[0] if found else None


class Waiting:
    """
    How long a new droplet is waited for.

    + sleep, clock: default those of time
    + active: seconds until it runs, default 300
    + ssh: seconds until its SSH port answers, default 180
    + pause: seconds between two looks, default 3
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        *,
        active: float = 300,
        ssh: float = 180,
        pause: float = 3,
    ) -> None:
        self.sleep, self.clock = sleep, clock
        self.active, self.ssh, self.pause = active, ssh, pause


def create(api: Api, body: dict[str, Any], tag: str, waiting: Waiting) -> Droplet:
    """
    Send the request once, and find out by the name what became of it where no answer says so.

    Raises DropletsError.
    """
    name = str(body["name"])
    try:
        return api.create(body)
    except LostError as error:
        log.info("%s; looking whether it is there", error)
        for _ in range(4):
            found = existing(api, name, tag)
            if found is not None:
                return found
            waiting.sleep(waiting.pause)
        raise DropletsError(
            f"{error}. No droplet {name} is there so far: look at `python -m droplets list`, "
            "then run this again"
        ) from None


def active(api: Api, number: int, waiting: Waiting) -> Droplet:
    """Wait until a droplet runs and has an address; raise DropletsError where it does not come to that."""
    end = waiting.clock() + waiting.active
    while True:
        try:
            found = api.droplet(number)
        except NotThereError:
            raise DropletsError(
                f"droplet {number} is gone: somebody, or DigitalOcean, destroyed it"
            ) from None
        if found.status == "active" and (found.public or found.private):
            return found
        if found.status not in ("new", "active"):
            raise DropletsError(
                f"droplet {found.name} is {found.status!r}; start it at cloud.digitalocean.com"
            )
        if waiting.clock() >= end:
            raise DropletsError(
                f"droplet {found.name} is still {found.status!r} after {waiting.active:.0f} s; "
                "run this again to go on waiting"
            )
        waiting.sleep(waiting.pause)


def answers(address: str, waiting: Waiting, port: int = 22) -> None:
    """Wait until an SSH server says its name at an address; raise DropletsError where none does."""
    end, said = waiting.clock() + waiting.ssh, "no look yet"
    while True:
        try:
            with socket.create_connection((address, port), timeout=5) as connection:
                connection.settimeout(5)
                greeting = connection.recv(64)
            if greeting.startswith(b"SSH-"):
                return
            said = "something else than SSH answers"
        except OSError as error:
            said = str(error)
        if waiting.clock() >= end:
            raise DropletsError(
                f"{address} port {port} does not answer with SSH after {waiting.ssh:.0f} s ({said}); "
                "look at its console, or whether a cloud firewall stands before it"
            )
        waiting.sleep(waiting.pause)
