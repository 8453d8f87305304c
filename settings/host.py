"""Settings of the machine itself: packages, SSH, swap, firewall."""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from settings.types import AbsolutePath, AsTuple, Line, Model, Percent, Port, Size

ED25519_KINDS = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com")


def _ed25519(value: str) -> str:
    kind, _, rest = value.partition(" ")
    encoded = rest.split(" ", 1)[0]
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    # The blob begins with the length and text of its own kind (RFC 4253, section 6.6).
    if kind not in ED25519_KINDS or not key.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise ValueError("is not an ED25519 public key; make one with: ssh-keygen -t ed25519")
    return value


def _network(value: str) -> str:
    if value == "any":
        return value
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"is not a network ({error}); write 'any' or CIDR, such as '203.0.113.0/24'"
        ) from None
    if network.prefixlen == 0:
        raise ValueError("is everyone; write 'any'")
    return value


def _comment(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 .,:;_/()+@#=-]{0,59}", value):
        raise ValueError(
            "has characters that ufw refuses; use up to 60 letters, digits, spaces and .,:;_/()+@#=-"
        )
    return value


PublicKey = Annotated[Line, AfterValidator(_ed25519)]
Network = Annotated[str, AfterValidator(_network)]


class SshSettings(Model):
    """
    How people log in.

    + authorized_keys: ED25519 public keys added to the login user, default none (the key that the host
      was made with stays)
    + key_only: switch password logins off, default True
    """

    authorized_keys: Annotated[tuple[PublicKey, ...], AsTuple] = ()
    key_only: bool = True


class SwapSettings(Model):
    """
    The swap file.

    + path: absolute, default /swapfile
    + size: number and M, G or T, default "2G"; None removes the file
    + swappiness: 0 to 100, default 10
    """

    path: AbsolutePath = "/swapfile"
    size: Size | None = "2G"
    swappiness: Percent = 10


class TrialSettings(Model):
    """
    How long a change may stay unconfirmed.

    + seconds: after how long without a sign of life from its run a host undoes it, 10 to 3600, default 300
    """

    seconds: Annotated[int, Field(ge=10, le=3600)] = 300


class FirewallRule(Model):
    """
    One port that is open beyond SSH and the apps' public services.

    + port: 1 to 65535
    + protocol: "tcp" (default) or "udp"
    + source: "any" (default) or a network in CIDR
    + comment: shown by `ufw status`, default none
    """

    port: Port
    protocol: Literal["tcp", "udp"] = "tcp"
    source: Network = "any"
    comment: Annotated[str, AfterValidator(_comment)] = ""


class FirewallSettings(Model):
    """
    The firewall: everything that is not declared is closed.

    + enabled: default True
    + allow: rules beyond SSH and the apps' public services, default none
    + ssh_from: networks that may reach SSH, default ("any",)
    """

    enabled: bool = True
    allow: Annotated[tuple[FirewallRule, ...], AsTuple] = ()
    ssh_from: Annotated[tuple[Network, ...], AsTuple, Field(min_length=1)] = ("any",)
