"""What `operations/ufw.py` reads: the firewall's switches, its rules, and the port we came in by."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class FirewallFields(TypedDict):
    """The firewall as it is: rules in the words of `ufw show added`, without the leading "ufw"."""

    installed: bool
    active: bool
    at_boot: bool
    armed: bool
    ipv6: bool
    incoming: str
    outgoing: str
    ssh_ports: list[int]
    rules: list[str]


POLICIES = {"DROP": "deny", "REJECT": "reject", "ACCEPT": "allow"}


class Firewall(FactBase[FirewallFields]):
    """
    Read ufw's state, its rules, and the SSH ports that must stay open, in one round trip.

    Where ufw is not installed, `installed` is False, and so is everything else but `ssh_ports`: the port
    of the login in use, or where there is none (pyinfra's @local), the ports of sshd's configuration.
    """

    @override
    def command(self) -> StringCommand:
        return script("ufw-state.sh")

    @override
    def process(self, output: list[str]) -> FirewallFields:
        lines = [line.partition(" ")[::2] for line in output]
        words = dict(lines)
        return FirewallFields(
            installed=words.get("installed") == "yes",
            active=words.get("status") == "active",
            at_boot=words.get("enabled") == "yes" and words.get("boot") == "enabled",
            armed=words.get("armed") == "yes",
            ipv6=words.get("ipv6") == "yes",
            incoming=_policy(words.get("incoming", "")),
            outgoing=_policy(words.get("outgoing", "")),
            ssh_ports=[int(value) for word, value in lines if word == "port"],
            rules=[value for word, value in lines if word == "rule"],
        )


def _policy(value: str) -> str:
    value = value.strip('"')
    return POLICIES.get(value, value)
