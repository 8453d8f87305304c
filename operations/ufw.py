"""The firewall: exactly the declared rules, never at the price of our own way in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Generator, Iterable
from typing import TypedDict

from pyinfra import host
from pyinfra.api import FunctionCommand, OperationError, StringCommand, operation
from typing_extensions import NotRequired

from facts.script import script
from facts.ufw import Firewall, FirewallFields
from operations import reconnect
from operations.differences import differs

# What ufw writes, and the undo puts back; the after rules because their log lines follow the policies.
RULES = ("user.rules", "user6.rules", "after.rules", "after6.rules")
FILES = [*(f"/etc/ufw/{file}" for file in RULES), "/etc/ufw/ufw.conf", "/etc/default/ufw"]
POLICIES = ("deny", "reject", "allow")
# ufw itself refuses the single quote in a comment.
COMMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,:;_/()+@#=-]{0,99}")


class Rule(TypedDict):
    """
    One port that may be reached.

    + port: number from 1 to 65535, or a range as text, "8000:8010"
    + proto: "tcp" (default) or "udp"
    + source: address or network in CIDR notation that may reach it, default everyone
    + destination: address of this host that it may be reached at, with `source`, default all of them
    + comment: shown by `ufw status`, default none
    """

    port: int | str
    proto: NotRequired[str]
    source: NotRequired[str | None]
    destination: NotRequired[str | None]
    comment: NotRequired[str | None]


@operation()
def firewall(
    *,
    allow: list[Rule],
    ssh_from: list[str] | None = None,
    incoming: str = "deny",
    outgoing: str = "allow",
    keep_foreign: bool = False,
    undo_after: int = 120,
) -> Generator[StringCommand | FunctionCommand, None, None]:
    """
    Open exactly the declared ports, over IPv4 and IPv6, now and at every boot.

    The SSH port of the login in use is always allowed first. A change is on trial: the host itself puts
    the former rules back after `undo_after` seconds unless a new SSH login has worked by then. Where
    that login fails, the former rules come back at once and the operation fails.

    + allow: the ports that may be reached, each a `Rule`; rules that are not declared are removed
    + ssh_from: addresses or networks in CIDR notation that may use SSH, default everyone
    + incoming: what happens to undeclared incoming traffic: "deny" (default), "reject" or "allow"
    + outgoing: the same for outgoing traffic, default "allow"
    + keep_foreign: leave rules that are not declared in place, default False
    + undo_after: seconds until the host undoes an unconfirmed change, 5 to 3600, default 120

    Does not converge forwarding (routes), ufw's logging, its before and after rules, and what others put
    into iptables directly. The package ufw must be installed.

    Raises OperationError for a port, protocol, source, comment or policy that ufw would refuse, and where
    ufw is not installed.

    Example:

        ufw.firewall(
            name="Let in the web and SSH",
            allow=[{"port": 3000, "comment": "main_app"}, {"port": 5432, "source": "198.18.4.0/24"}],
        )
    """
    for direction, policy in (("incoming", incoming), ("outgoing", outgoing)):
        if policy not in POLICIES:
            raise OperationError(f"ufw.firewall: {direction} {policy!r} is none of {', '.join(POLICIES)}")
    declared = [rule_line(rule) for rule in allow]
    refuse_contradictions(declared)

    now = host.get_fact(Firewall)
    if not now["installed"] and host.state.is_executing:
        raise OperationError("ufw.firewall: ufw is not installed; install the package ufw first")
    wanted = [*ssh_lines(now["ssh_ports"], declared, ssh_from), *declared]
    add, delete = difference(wanted, now["rules"], keep_foreign=keep_foreign)
    if not now["ipv6"]:
        # ufw skips the half of a rule that is there and adds the other.
        add = wanted
    switches = now["active"], now["at_boot"], now["ipv6"], now["incoming"], now["outgoing"]
    if switches == (True, True, True, incoming, outgoing) and not add and not delete and not now["armed"]:
        host.noop(f"the firewall is already active with its {len(wanted)} rules")
        return

    _tell(now, (incoming, outgoing), add if now["ipv6"] else [], delete)
    yield reconnect.arm("ufw", undo_after=undo_after, after="ufw-restore.sh", files=FILES)
    changes = [*(f"add {line}" for line in add), *(f"delete {line}" for line in delete)]
    yield script("ufw-apply.sh", incoming, outgoing, stdin="".join(f"{line}\n" for line in changes))
    yield reconnect.confirm("ufw", undo_after=undo_after)


def _tell(now: FirewallFields, policies: tuple[str, str], add: list[str], delete: list[str]) -> None:
    for so, expected, found in (
        (now["active"], "active", "not active"),
        (now["at_boot"], "starts at boot", "does not start at boot"),
        (now["ipv6"], "covers IPv6", "IPv4 alone"),
        (now["incoming"] == policies[0], f"{policies[0]} incoming", f"{now['incoming']} incoming"),
        (now["outgoing"] == policies[1], f"{policies[1]} outgoing", f"{now['outgoing']} outgoing"),
    ):
        if not so:
            differs("firewall", expected=expected, found=found)
    for line in add:
        differs("firewall rule", expected=line, found="none")
    for line in delete:
        differs("firewall rule", expected="none", found=line)


def rule_line(rule: Rule) -> str:
    """Write one rule in the words of `ufw show added`; OperationError where it is no rule."""
    unknown = set(rule) - set(Rule.__annotations__)
    if unknown or "port" not in rule:
        raise OperationError(
            f"ufw.firewall: {dict(rule)} is no rule; write port, proto, source, destination, comment"
        )
    proto = rule.get("proto", "tcp")
    if proto not in ("tcp", "udp"):
        raise OperationError(
            f'ufw.firewall: proto {proto!r} of port {rule["port"]} is neither "tcp" nor "udp"'
        )
    port, source, comment = _port(rule["port"]), rule.get("source"), rule.get("comment")
    at = rule.get("destination")
    if at is not None and source is None:
        raise OperationError(f"ufw.firewall: destination {at!r} of port {port} needs a source; write it, too")
    line = (
        f"allow {port}/{proto}"
        if source is None
        else f"allow from {_source(source)} to {_destination(at)} port {port} proto {proto}"
    )
    if not comment:
        return line
    if not COMMENT.fullmatch(comment):
        raise OperationError(
            f"ufw.firewall: comment {comment!r} of port {port} has characters that ufw refuses; "
            "write letters, digits, spaces and .,:;_/()+@#=-"
        )
    return f"{line} comment '{comment}'"


def _port(port: int | str) -> str:
    text = str(port)
    bounds = text.split(":")
    numbers = [int(bound) for bound in bounds if re.fullmatch(r"[1-9][0-9]{0,4}", bound)]
    if isinstance(port, bool) or len(numbers) != len(bounds) or len(bounds) > 2 or max(numbers) > 65535:
        raise OperationError(
            f"ufw.firewall: port {port!r} is no port; write 1 to 65535, or a range like '8000:8010'"
        )
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        raise OperationError(f"ufw.firewall: port range {port!r} is empty; write the lower port first")
    return text


def _source(source: str) -> str:
    try:
        network = ipaddress.ip_network(source)
    except ValueError as error:
        raise OperationError(
            f"ufw.firewall: source {source!r} is no network ({error}); write it like 198.18.4.0/24"
        ) from None
    if network.prefixlen == 0:
        raise OperationError(f"ufw.firewall: source {source!r} is everyone; leave the source out")
    if network.num_addresses == 1:
        return str(network.network_address)
    return str(network)


def _destination(address: str | None) -> str:
    if address is None:
        return "any"
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise OperationError(
            f"ufw.firewall: destination {address!r} is no address ({error}); write it like 198.18.4.1"
        ) from None


def bare(line: str) -> str:
    """Take the comment off a rule: ufw knows a rule by everything else."""
    return line.split(" comment ", 1)[0]


def refuse_contradictions(lines: Iterable[str]) -> None:
    """Raise OperationError where one rule is declared with two comments."""
    seen: dict[str, str] = {}
    for line in lines:
        if seen.setdefault(bare(line), line) != line:
            raise OperationError(f"ufw.firewall: {bare(line)!r} is declared twice with different comments")


def ssh_lines(ports: list[int], declared: list[str], ssh_from: list[str] | None) -> list[str]:
    """Write the rules that keep our own way in open, but for those that are declared anyway."""
    sources: list[str | None] = [None] if ssh_from is None else [*ssh_from]
    if not sources:
        raise OperationError(
            "ufw.firewall: ssh_from is empty and would lock us out; leave it out for everyone"
        )
    rules = [rule_line({"port": port, "source": source}) for port in ports for source in sources]
    taken = {bare(line) for line in declared}
    return [f"{rule} comment 'SSH'" for rule in rules if rule not in taken]


def difference(wanted: list[str], existing: list[str], *, keep_foreign: bool) -> tuple[list[str], list[str]]:
    """Work out which rules to add and which to delete."""
    add = [line for line in dict.fromkeys(wanted) if line not in existing]
    if keep_foreign:
        return add, []
    # A rule whose comment alone differs is changed by adding it again: deleting it would delete both.
    kept = {bare(line) for line in wanted}
    return add, [line for line in existing if bare(line) not in kept]
