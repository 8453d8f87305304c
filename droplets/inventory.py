"""The hosts of an environment, from DigitalOcean: its droplets by tag."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from droplets import tags
from droplets.api import TOKEN, URL, Api
from droplets.droplet import Droplet
from droplets.errors import DropletsError

KINDS = ("public", "private")


@dataclass(frozen=True)
class Found:
    """
    One droplet as a host.

    + entry: what an entry of the YAML file says of a host
    + about: what else host data says of it
    """

    entry: dict[str, Any]
    about: dict[str, Any]


def hosts(inventory: Path, environ: Mapping[str, str]) -> tuple[Found, ...]:
    """
    Return the droplets that have the environment's tag. A process asks once: an inventory asks for hosts and
    for groups.

    + inventory: the inventory file; its name is the environment's
    + environ: has the token; HOSTWRIGHT_<ENVIRONMENT>_TAG, _ADDRESS ("public", the default, or "private"),
      _USER, _PORT and _KEY say otherwise for all of them

    Droplets that are not running are left out, and said so.

    Raises DropletsError.
    """
    names = [tags.variable(one, "TAG") for one in tags.environments(inventory.parents[1])]
    names += [tags.variable(inventory.stem, what) for what in ("TAG", "ADDRESS", "USER", "PORT", "KEY")]
    given = {name: environ[name] for name in (TOKEN, URL, *names) if environ.get(name)}
    return _hosts(inventory, tuple(sorted(given.items())))


@cache
def _hosts(inventory: Path, given: tuple[tuple[str, str], ...]) -> tuple[Found, ...]:
    environ, environment, project = dict(given), inventory.stem, inventory.parents[1]
    kind = _kind(environment, environ)
    tag = tags.of(environment, environ)
    others = tags.others(environment, tags.environments(project), environ)
    found = Api.of(environ).droplets(tag=tag)
    if not found:
        raise DropletsError(
            f"no droplet has the tag {tag!r}. Make one: python -m droplets create NAME --environment "
            f"{environment} ..., give yours that tag, or unset {TOKEN} to use inventories/{environment}.yaml "
            f"or {tags.variable(environment, 'HOSTS')}"
        )
    running, left_out = chosen(found, kind=kind, tag=tag, others=others, environment=environment)
    for line in left_out:
        click.echo(line, err=True)
    if not running:
        raise DropletsError(
            f"none of the droplets with the tag {tag!r} is running: {'; '.join(left_out)}. Start one, or wait"
        )
    known = tags.groups(project)
    login = {key: environ.get(tags.variable(environment, key.upper())) for key in ("user", "port", "key")}
    return tuple(as_found(one, kind, known, login, environment) for one in running)


def _kind(environment: str, environ: Mapping[str, str]) -> str:
    name = tags.variable(environment, "ADDRESS")
    kind = environ.get(name) or KINDS[0]
    if kind not in KINDS:
        raise DropletsError(f"{name} is {kind!r}; write 'public' or 'private', or unset it")
    return kind


def chosen(
    found: list[Droplet], *, kind: str, tag: str, others: Mapping[str, str], environment: str
) -> tuple[list[Droplet], list[str]]:
    """
    Return the droplets that can be hosts, by name, and a line for each that is left out.

    + kind: "public" or "private": the address that is needed
    + others: tags of other environments, in lower case, with their names

    Raises DropletsError for droplets that cannot be told apart, belong to two environments, or run without
    such an address.
    """
    running = sorted((one for one in found if one.status == "active"), key=lambda one: one.name)
    left_out = [
        f"droplet {one.name} is {one.status!r} and left out" for one in found if one.status != "active"
    ]
    names: dict[str, Droplet] = {}
    for one in found:
        if not one.has(tag):
            # Its groups would be missing as well: it would get what other hosts run.
            raise DropletsError(
                f"DigitalOcean does not tell the tags of droplet {one.name}; give the token of {TOKEN} the "
                "scope tag:read"
            )
        twin = names.setdefault(one.name.lower(), one)
        if twin is not one:
            raise DropletsError(
                f"two droplets with the tag {tag!r} are called {one.name} (ids {twin.number} and "
                f"{one.number}); rename one or remove its tag"
            )
        for other in one.tags:
            if other.lower() in others:
                raise DropletsError(
                    f"droplet {one.name} has the tags of two environments, {tag!r} of {environment} and "
                    f"{other!r} of {others[other.lower()]}; remove one of them"
                )
    for one in running:
        if getattr(one, kind) is None:
            other = KINDS[KINDS.index(kind) - 1]
            remedy = f"set {tags.variable(environment, 'ADDRESS')}={other}, or remove its tag {tag!r}"
            raise DropletsError(f"droplet {one.name} has no {kind} address; {remedy}")
    return running, left_out


def as_found(
    droplet: Droplet,
    kind: str,
    known: Collection[str],
    login: Mapping[str, str | None],
    environment: str,
) -> Found:
    """Return a droplet as a host; tags that are no group belong to others."""
    entry: dict[str, Any] = {"name": droplet.name, "address": getattr(droplet, kind)}
    if droplet.private is not None:
        entry["private_address"] = droplet.private
    entry |= {key: value for key, value in login.items() if value}
    if "port" in entry:
        if not str(entry["port"]).isdecimal():
            name = tags.variable(environment, "PORT")
            raise DropletsError(f"{name} is {entry['port']!r}; write a number")
        entry["port"] = int(entry["port"])
    entry["groups"] = sorted({tag.lower() for tag in droplet.tags} & {*known})
    return Found(entry, droplet.about())
