"""One cable a host: a bridge of its own on this machine, with the machine's end of a /30 on it."""

from __future__ import annotations

import ipaddress
import json
import zlib
from collections.abc import Collection, Iterator

from lab.errors import LabError
from lab.run import run, succeeds

# Reserved for tests between machines: no real network uses it.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
TABLE = "hostwright_lab"
_CABLES = 2**15
# Nobody has this hardware address: what is sent to it is lost without a word, as on a cut cable.
_NOBODY = "02:00:00:00:00:01"
_RULES = f"""
table ip {TABLE} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {RANGE} ip daddr != {RANGE} masquerade
    }}
}}
"""


def bridge(machine_id: str) -> str:
    """Return the name of a host's bridge."""
    return machine_id.replace("hwl-", "hwb-")


def _port(machine_id: str) -> str:
    """Return the name that systemd-nspawn gives this machine's end of the host's cable."""
    return f"vb-{machine_id}"


def exists(interface: str) -> bool:
    """Tell whether an interface is there."""
    return succeeds("ip", "link", "show", "dev", interface)


def present() -> list[ipaddress.IPv4Network]:
    """List the networks that this machine has addresses in."""
    listing = json.loads(run("ip", "-json", "-4", "address"))
    return [
        ipaddress.IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
        for link in listing
        for address in link.get("addr_info", [])
    ]


def cables(machine_id: str) -> Iterator[ipaddress.IPv4Network]:
    """Yield the /30 networks in the order that a host should try them: the same first one each time."""
    first = zlib.crc32(machine_id.encode()) % _CABLES
    for step in range(_CABLES):
        number = (first + step) % _CABLES
        yield ipaddress.IPv4Network((int(RANGE.network_address) + 4 * number, 30))


def free_cable(machine_id: str, taken: Collection[str], wanted: str = "") -> tuple[str, str]:
    """
    Choose the addresses of a host and return the machine's and the host's.

    + taken: machine's addresses that other hosts were given. + wanted: the one it had before; default none.

    Raises `LabError` when all are taken, or the wanted one is.
    """
    used = [*present(), *(ipaddress.IPv4Network(f"{address}/30", strict=False) for address in taken)]
    candidates = [ipaddress.IPv4Network(f"{wanted}/30", strict=False)] if wanted else cables(machine_id)
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in used if network.prefixlen > 0):
            return str(candidate[1]), str(candidate[2])
    if wanted:
        raise LabError(
            f"the address {wanted} of this host is taken now; run `python -m lab down` and `up` for it"
        )
    raise LabError(f"no free address is left in {RANGE}; take some hosts down")


def lay(machine_id: str, gateway: str) -> None:
    """Make sure of the bridge of a host that does not run, with this machine's address on it."""
    name = bridge(machine_id)
    # Of a host that was killed, the kernel may not have removed the cable yet; a new one could not be laid.
    _remove_interface(_port(machine_id))
    if not exists(name):
        run("ip", "link", "add", name, "type", "bridge")
    run("ip", "address", "replace", f"{gateway}/30", "dev", name)
    run("ip", "link", "set", name, "up")


def cut(machine_id: str, address: str) -> None:
    """Cut the cable: nothing passes, and nothing says so."""
    run(
        "ip",
        "neighbour",
        "replace",
        address,
        "lladdr",
        _NOBODY,
        "nud",
        "permanent",
        "dev",
        bridge(machine_id),
    )
    if exists(_port(machine_id)):
        run("ip", "link", "set", _port(machine_id), "down")


def heal(machine_id: str, address: str) -> None:
    """Mend the cable; connections that were open go on."""
    if exists(_port(machine_id)):
        run("ip", "link", "set", _port(machine_id), "up")
    known = json.loads(run("ip", "-json", "neighbour", "show", "to", address, "dev", bridge(machine_id)))
    if any("PERMANENT" in entry["state"] for entry in known):
        run("ip", "neighbour", "delete", address, "dev", bridge(machine_id))


def remove(machine_id: str) -> None:
    """Remove the bridge and the cable; missing ones are fine."""
    for name in (_port(machine_id), bridge(machine_id)):
        _remove_interface(name)


def _remove_interface(name: str) -> None:
    # The kernel removes the port by itself once the host's last process is gone, perhaps just now.
    if exists(name) and not succeeds("ip", "link", "delete", name) and exists(name):
        raise LabError(f"the interface {name} cannot be removed; try `ip link delete {name}`")


def open_out() -> None:
    """Let hosts reach the outside through this machine, in an nftables table of our own."""
    if not succeeds("nft", "list", "table", "ip", TABLE):
        run("nft", _RULES)


def close_out() -> None:
    """Remove that table."""
    if succeeds("nft", "list", "table", "ip", TABLE):
        run("nft", "delete", "table", "ip", TABLE)
