"""One droplet, as DigitalOcean's API tells of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from droplets.errors import DropletsError

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Droplet:
    """
    One droplet.

    + number: its id
    + name: which others may have, too
    + status: "new", "active", "off" or "archive"
    + region, size, image: their slugs; of an image without one its id
    + tags: as they are written there; DigitalOcean compares them without regard to case
    + public, private: addresses, IPv4 where there is one; None where there is none
    + vpc: its network's id, default ""
    """

    number: int
    name: str
    status: str
    region: str
    size: str
    image: str
    tags: tuple[str, ...]
    public: str | None
    private: str | None
    vpc: str = ""

    @classmethod
    def of(cls, answer: Any) -> Droplet:
        """Read a droplet of an answer; raise DropletsError where it is none."""
        try:
            number, name = int(answer["id"]), str(answer["name"])
            if not NAME.fullmatch(name):
                raise ValueError(f"a name {name!r}")
            image = answer.get("image") or {}
            return cls(
                number=number,
                name=name,
                status=str(answer["status"]),
                region=str((answer.get("region") or {}).get("slug") or ""),
                size=str(answer.get("size_slug") or ""),
                image=str(image.get("slug") or image.get("id") or ""),
                tags=tuple(str(tag) for tag in answer.get("tags") or ()),
                public=_address(answer.get("networks") or {}, "public"),
                private=_address(answer.get("networks") or {}, "private"),
                vpc=str(answer.get("vpc_uuid") or ""),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DropletsError(
                f"DigitalOcean tells of a droplet that cannot be read ({type(error).__name__}: {error}); is "
                "HOSTWRIGHT_DIGITALOCEAN_URL its API?"
            ) from None

    def has(self, tag: str) -> bool:
        """Tell whether it has a tag."""
        return tag.lower() in (one.lower() for one in self.tags)

    def about(self) -> dict[str, Any]:
        """Return what host data says of it, under the name "droplet"."""
        return {
            "id": self.number,
            "region": self.region,
            "size": self.size,
            "image": self.image,
            "tags": list(self.tags),
        }


def _address(networks: Mapping[str, Any], kind: str) -> str | None:
    for family in ("v4", "v6"):
        for one in networks.get(family) or ():
            if one["type"] == kind:
                return str(ip_address(one["ip_address"]))
    return None
