"""The command line: `python -m droplets COMMAND`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from droplets import make, remove, ssh_keys, tags, user_data
from droplets.api import Api
from droplets.droplet import NAME, Droplet
from droplets.errors import DropletsError, NotThereError

log = logging.getLogger("droplets")
SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WAITING = make.Waiting()


def _create(chosen: argparse.Namespace) -> int:
    wanted, api = _wanted(chosen), Api.of()
    found = make.existing(api, wanted.name, wanted.tag)
    if found is not None:
        return _there(api, wanted, found, chosen)
    keys = ssh_keys.chosen(chosen.key, api.keys())
    text = user_data.rendered(chosen.login, [key.public for key in keys])
    body = wanted.request([key.fingerprint for key in keys], text)
    missing = [key for key in keys if not key.known]
    if chosen.dry:
        for key in missing:
            log.info("would upload the SSH key %s (%s)", key.label, key.fingerprint)
        log.info("would ask for:\n%s", json.dumps(body, indent=2))
        return 0
    for key in missing:
        ssh_keys.uploaded(api, key, WAITING.sleep)
        log.info("uploaded the SSH key %s (%s)", key.label, key.fingerprint)
    made = make.create(api, body, wanted.tag, WAITING)
    log.info("droplet %s has the id %s", made.name, made.number)
    return _waited(api, made, chosen)


def _there(api: Api, wanted: make.Wanted, found: Droplet, chosen: argparse.Namespace) -> int:
    differs = wanted.differences(found)
    if differs:
        log.error(
            "droplet %s (id %s) is there, and differs: %s; nothing was changed. Resize or tag it at "
            "cloud.digitalocean.com, ask for what it is, or destroy it first",
            found.name, found.number, "; ".join(differs),
        )  # fmt: skip
        return 1
    log.info("droplet %s (id %s) is there already; nothing was changed", found.name, found.number)
    return 0 if chosen.dry else _waited(api, found, chosen)


def _waited(api: Api, made: Droplet, chosen: argparse.Namespace) -> int:
    if not chosen.wait:
        return 0
    ready = make.active(api, made.number, WAITING)
    address = str(ready.public or ready.private)
    log.info("droplet %s runs at %s; waiting for its SSH server", ready.name, address)
    make.answers(address, WAITING, chosen.ssh_port)
    if chosen.login != "root":
        log.info("its login: export %s=%s", tags.variable(chosen.environment, "USER"), chosen.login)
    log.info("it is ready: pyinfra inventories/%s.py deploy.py", chosen.environment)
    return 0


def _wanted(chosen: argparse.Namespace) -> make.Wanted:
    if not NAME.fullmatch(chosen.name):
        raise DropletsError(f"{chosen.name!r} is no droplet's name; use letters, digits, '-' and '.'")
    for what in ("region", "size", "image"):
        if not SLUG.fullmatch(getattr(chosen, what)):
            raise DropletsError(f"--{what}: {getattr(chosen, what)!r} is no slug; write it like 'fra1'")
    if chosen.vpc is not None and not UUID.fullmatch(chosen.vpc):
        raise DropletsError(
            f"--vpc: {chosen.vpc!r} is no id of a VPC; see Networking at cloud.digitalocean.com"
        )
    others = tags.others(chosen.environment, tags.environments(), os.environ)
    own = tags.of(chosen.environment, os.environ)
    more = tuple(dict.fromkeys(tags.checked(tag, "--tag") for tag in chosen.tag))
    for tag in more:
        if tag.lower() in others:
            raise DropletsError(
                f"--tag: {tag!r} is the tag of {others[tag.lower()]}, not of {chosen.environment}"
            )
    more = tuple(tag for tag in more if tag.lower() != own.lower())
    return make.Wanted(chosen.name, own, chosen.region, chosen.size, chosen.image, tags=more, vpc=chosen.vpc)


def _list(chosen: argparse.Namespace) -> int:
    api = Api.of()
    rows: dict[int, tuple[str, Droplet]] = {}
    for environment in [chosen.environment] if chosen.environment else tags.environments():
        for one in api.droplets(tag=tags.of(environment, os.environ)):
            rows.setdefault(one.number, (environment, one))
    ordered = sorted(rows.values(), key=lambda row: (row[0], row[1].name))
    if chosen.json:
        shown = [
            {"environment": environment, "name": one.name, "status": one.status, "public": one.public,
             "private": one.private, **one.about()}
            for environment, one in ordered
        ]  # fmt: skip
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return 0
    if not ordered:
        log.info("no droplets; make one with `python -m droplets create NAME --environment ENVIRONMENT ...`")
    for environment, one in ordered:
        log.info(
            "%-8s %-20s %-7s %-15s %-5s %-14s %-18s %s",
            environment, one.name, one.status, one.public or one.private or "-", one.region, one.size,
            one.image, ",".join(one.tags),
        )  # fmt: skip
    return 0


def _destroy(chosen: argparse.Namespace) -> int:
    api = Api.of()
    found = make.existing(api, chosen.name, tags.of(chosen.environment, os.environ))
    if found is None:
        log.info("there is no droplet %s; nothing was done", chosen.name)
        return 0
    if chosen.dry:
        log.info(
            "would destroy droplet %s (id %s, %s)", found.name, found.number, found.public or "no address"
        )
        return 0
    # Whichever environment was named: a tag of production's is enough.
    production = chosen.environment == tags.PRODUCTION or any(
        found.has(tag) for tag in (tags.of(tags.PRODUCTION, os.environ), f"hostwright-{tags.PRODUCTION}")
    )
    ask = input if sys.stdin.isatty() else None
    remove.allowed(found, production=production, yes=chosen.yes, confirm=chosen.confirm, ask=ask)
    try:
        api.destroy(found.number)
    except NotThereError:
        log.info("droplet %s (id %s) is gone already", found.name, found.number)
        return 0
    log.info("droplet %s (id %s) is destroyed", found.name, found.number)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m droplets", description="Droplets of DigitalOcean.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, act: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(act=act)
        command.add_argument(
            "--environment", choices=tags.environments(), required=name != "list",
            help="whose tag it has: the name of an inventory",
        )  # fmt: skip
        return command

    create = add(
        "create", _create, "make a droplet that deploy.py can begin with; one that is there stays as it is"
    )
    create.add_argument("name", metavar="NAME")
    create.add_argument("--region", required=True, help="such as fra1")
    create.add_argument("--size", default="s-1vcpu-2gb", help="default %(default)s")
    create.add_argument("--image", default="debian-12-x64", help="default %(default)s")
    create.add_argument(
        "--key", action="append", required=True, metavar="KEY",
        help="fingerprint or name of an SSH key of the account, or a public key file, uploaded where it is "
        "missing; repeatable",
    )  # fmt: skip
    create.add_argument(
        "--tag",
        action="append",
        default=[],
        help="another tag: a file of group_data/, or your own; repeatable",
    )
    create.add_argument("--vpc", metavar="ID", help="network that it is in; default the region's own")
    create.add_argument("--login", default="root", help="user to make, with sudo; default root")
    create.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return at once, before it runs and SSH answers"
    )
    create.add_argument("--ssh-port", type=int, default=22, help=argparse.SUPPRESS)
    create.add_argument("--dry", action="store_true", help="show what would be asked for, and do nothing")
    add("list", _list, "show the droplets of an environment, or of all").add_argument(
        "--json", action="store_true"
    )
    destroy = add("destroy", _destroy, "destroy a droplet, with its data")
    destroy.add_argument("name", metavar="NAME")
    destroy.add_argument("--yes", action="store_true", help="do not ask; not enough for production")
    destroy.add_argument(
        "--confirm", metavar="NAME", help="its name once more: do not ask, in production too"
    )
    destroy.add_argument("--dry", action="store_true", help="say what would be destroyed, and do nothing")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 could not."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    # pydo's own lines of each request are nobody's business.
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        chosen = _parser().parse_args(words)
        code: int = chosen.act(chosen)
    except DropletsError as error:
        log.error("%s", error)
        return 1
    except (KeyboardInterrupt, EOFError):
        log.error("interrupted; run it again: `create` goes on with a droplet that is there")
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
