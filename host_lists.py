"""Where staging and production find their hosts: DigitalOcean, a YAML file beside them, or a variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import click
import yaml
from pydantic import ValidationError
from pyinfra.api.exceptions import PyinfraError

from settings.monitoring import PrivateAddress
from settings.types import AsTuple, Line, Model, Port, Slug

WORD = re.compile(
    r"((?P<user>[^@\s]+)@)?(?P<address>[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-fA-F]*:[0-9a-fA-F:]+)(:(?P<port>[0-9]+))?"
)
# Who has set it has the hosts found by their tags.
TOKEN = "DIGITALOCEAN_TOKEN"  # noqa: S105  # the variable's name
HostTuple = tuple[str, dict[str, Any]]


class ListedHost(Model):
    """
    One host of a list.

    + name: what it is called in output
    + address: host name or IP address that SSH connects to, default its name
    + user: login, root or one with sudo that asks no password, default root
    + port: of SSH, default 22
    + key: private key file, default what ssh-agent and ~/.ssh offer
    + private_address: what other hosts of its private network reach it at, default none
    + groups: files of group_data/ that it gets besides its environment's, default none
    """

    name: Line
    address: Line | None = None
    user: Line = "root"
    port: Port = 22
    key: Line | None = None
    private_address: PrivateAddress | None = None
    groups: Annotated[tuple[Slug, ...], AsTuple] = ()

    def as_tuple(self) -> HostTuple:
        """Return the host in the form that pyinfra's inventories take."""
        data: dict[str, Any] = {
            "ssh_hostname": self.address or self.name,
            "ssh_user": self.user,
            "ssh_port": self.port,
        }
        if self.key is not None:
            data["ssh_key"] = str(Path(self.key).expanduser())
        if self.user != "root":
            data["_sudo"] = True
        if self.private_address is not None:
            data["private_address"] = self.private_address
        return self.name, data


class DropletHost(ListedHost):
    """
    One host that DigitalOcean has.

    + droplet: its id, region, size, image and tags, for whoever reads `host.data.droplet`
    """

    droplet: dict[str, Any]

    def as_tuple(self) -> HostTuple:
        """Return the host in the form that pyinfra's inventories take."""
        name, data = super().as_tuple()
        return name, {**data, "droplet": self.droplet}


def listed(inventory: str, environ: Mapping[str, str] = os.environ) -> list[HostTuple]:
    """
    Return the hosts of an environment, from the first of these that is there, and from no other:

    where DIGITALOCEAN_TOKEN is set, the droplets that have the environment's tag; the YAML file beside the
    inventory, of the same name: a list of `ListedHost`; HOSTWRIGHT_<ENVIRONMENT>_HOSTS, addresses separated
    by commas, each [USER@]ADDRESS[:PORT].

    + inventory: the inventory's own `__file__`
    + environ: default this process's environment

    Raises PyinfraError for a file that is not such a list, naming the entry, and for what DigitalOcean says.

    Example: `hosts = guard.hosts(host_lists.listed(__file__), remedy="...")`
    """
    return [one.as_tuple() for one in _entries(inventory, environ)]


def watched(hosts: Sequence[HostTuple], by: str, server: Mapping[str, Any] | None = None) -> list[HostTuple]:
    """
    Return hosts with the `monitoring` of each as its own data: one asks, all others are asked.

    + hosts: each with `private_address` in its data, as `listed` gives them
    + by: name of the host that asks
    + server: what else its `monitoring` says, such as "webhook", default nothing

    Raises PyinfraError for a host without a private address, and where none has that name.

    Example: `hosts = host_lists.watched(hosts, by="web-1")`
    """
    at = {name: data.get("private_address") for name, data in hosts}
    if by not in at:
        raise PyinfraError(
            f"monitoring: there is no host {by!r} to ask the others; there are: {', '.join(at)}"
        )
    if len(at) > 1 and None in at.values():
        lacks = ", ".join(name for name, address in at.items() if address is None)
        raise PyinfraError(
            f"monitoring: no private_address is known of {lacks}; write it into the list of hosts"
        )
    others = {name: address for name, address in at.items() if name != by}
    asking = {"server": True, "targets": others, **(server or {})}
    return [
        (
            name,
            {
                **data,
                "monitoring": asking
                if name == by
                else {"server": False, "listen": at[name], "asked_by": [at[by]]},
            },
        )
        for name, data in hosts
    ]


def groups(inventory: str, environ: Mapping[str, str] = os.environ) -> dict[str, list[str]]:
    """
    Return the groups of an environment's hosts: names of hosts by group. Those of a variable have none; of a
    droplet they are the tags that a file of group_data/ is named after.

    + inventory: the inventory's own `__file__`
    + environ: default this process's environment

    Raises PyinfraError as `listed` does.

    Example: `globals().update(guard.groups(host_lists.groups(__file__)))`
    """
    found: dict[str, list[str]] = {}
    for one in _entries(inventory, environ):
        for group in one.groups:
            found.setdefault(group, []).append(one.name)
    return found


def _entries(inventory: str, environ: Mapping[str, str]) -> list[ListedHost]:
    path = Path(inventory).with_suffix(".yaml")
    variable = variable_of(inventory)
    if environ.get(TOKEN):
        return _droplets(inventory, environ)
    if path.is_file():
        if environ.get(variable):
            click.echo(f"the hosts are those of {path.name}; {variable} is for where there is none", err=True)
        return _from_file(path)
    words = [word.strip() for word in environ.get(variable, "").split(",")]
    return [_from_word(word, variable) for word in words if word]


def _droplets(inventory: str, environ: Mapping[str, str]) -> list[ListedHost]:
    # Only now: runs that have no token pay nothing for it.
    from droplets import inventory as droplets
    from droplets.errors import DropletsError

    try:
        found = droplets.hosts(Path(inventory).resolve(), environ)
    except DropletsError as error:
        raise PyinfraError(str(error)) from None
    return [
        _checked({**one.entry, "droplet": one.about}, f"droplet {one.entry['name']}", DropletHost)
        for one in found
    ]


def _from_file(path: Path) -> list[ListedHost]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    except yaml.YAMLError as error:
        raise PyinfraError(f"{path.name} is not YAML: {error}") from None
    if not isinstance(entries, list):
        raise PyinfraError(f"{path.name} holds no list; write one host an entry, as in hosts.example.yaml")
    return [_checked(entry, f"{path.name}, entry {count}") for count, entry in enumerate(entries, 1)]


def variable_of(inventory: str) -> str:
    """Return the name of the variable that `listed` looks at."""
    return f"HOSTWRIGHT_{Path(inventory).stem.upper().replace('-', '_')}_HOSTS"


def _from_word(word: str, variable: str) -> ListedHost:
    match = WORD.fullmatch(word)
    if match is None:
        raise PyinfraError(f"{variable}: {word!r} is not a host; write [USER@]ADDRESS[:PORT]")
    found = match.groupdict()
    entry: dict[str, Any] = {"name": found["address"]}
    if found["user"]:
        entry["user"] = found["user"]
    if found["port"]:
        entry["port"] = int(found["port"])
    return _checked(entry, f"{variable}: {word!r}")


def _checked(entry: object, place: str, kind: type[ListedHost] = ListedHost) -> ListedHost:
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "entry"
        raise PyinfraError(
            f"{place}: {field}: {first['msg']}; write it as in inventories/hosts.example.yaml"
        ) from None
