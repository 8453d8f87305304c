"""The command line: `python -m lab COMMAND`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab import images, lifecycle, machine, state
from lab.errors import LabError

log = logging.getLogger("lab")


def _each(names: Sequence[str], act: Callable[[str], object]) -> int:
    """Do something to several hosts at the same time; say what failed, and return the exit code."""
    names = list(dict.fromkeys(names))
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        pending = [pool.submit(act, name) for name in names]
    worst = 0
    for one in pending:
        error = one.exception()
        if isinstance(error, LabError):
            log.error("%s", error)
            worst = max(worst, error.exit_code)
        elif error is not None:
            raise error
    return worst


def _up(chosen: argparse.Namespace) -> int:
    machine.need()
    for name in chosen.names:
        state.check_name(name)
    groups = tuple(dict.fromkeys(chosen.group)) if chosen.group else None
    return _each(
        chosen.names,
        lambda name: lifecycle.up(name, image=chosen.image, groups=groups, memory=chosen.memory),
    )


def _down(chosen: argparse.Namespace) -> int:
    if bool(chosen.names) == chosen.all:
        raise LabError("name the hosts to take down, or say --all for all of this clone")
    machine.need()
    names = chosen.names or [host.name for host in state.load_all()]
    if chosen.all and not names:
        log.info("this clone has no hosts")
    worst = _each(names, lifecycle.down)
    return max(worst, _each(lifecycle.abandoned(), lifecycle.down_abandoned)) if chosen.all else worst


def _list(chosen: argparse.Namespace) -> int:
    known = state.load_all()
    rows = [
        {
            "name": host.name,
            "image": host.image,
            "state": host.state,
            "address": host.address,
            "ssh": shlex.join(host.ssh()),
        }
        for host in known
    ]
    if chosen.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    if not rows:
        log.info("no hosts; make one with `python -m lab up NAME`")
    for row in rows:
        log.info(
            "%-16s %-9s %-9s %-15s python -m lab ssh %s",
            *[row[k] for k in ("name", "image", "state", "address")],
            row["name"],
        )
    return 0


def _address(chosen: argparse.Namespace) -> int:
    for name in chosen.names:
        log.info("%s", lifecycle.find(name).address)
    return 0


def _ssh(chosen: argparse.Namespace) -> int:
    host = lifecycle.find(chosen.name)
    if host.state == "off":
        raise LabError(f"'{host.name}' is off; start it with `python -m lab boot {host.name}`")
    command = host.ssh(*chosen.command, user=chosen.user)
    os.execvp(command[0], command)  # noqa: S606


def _prepare(chosen: argparse.Namespace) -> int:
    of = images.suite(chosen.image or "bookworm")
    installed = machine.install(vendor=of.vendor, pages=chosen.pages)
    if installed:
        log.info("installed %s", ", ".join(installed))
    with images.image(of.name) as directory:
        log.info("the %s image is ready: %s", of.name, directory)
    return 0


def _one(act: Callable[[str], object]) -> Callable[[argparse.Namespace], int]:
    def command(chosen: argparse.Namespace) -> int:
        return _each(chosen.names, act)

    return command


def size(word: str) -> int:
    """Return the bytes of a size such as 512M or 2G."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([MG])", word)
    if match is None:
        raise argparse.ArgumentTypeError(f"{word!r} is not a size; write it like 512M or 2G")
    return int(match[1]) << {"M": 20, "G": 30}[match[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="Test hosts: real systemd machines on this one."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, act: Callable[[argparse.Namespace], int], about: str, names: str | None = "+"
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(act=act)
        if names is not None:
            command.add_argument("names", nargs=names, metavar="NAME")
        return command

    known = ", ".join(f"{suite.name} ({suite.title})" for suite in images.SUITES.values())
    up = add("up", _up, "make hosts, or start them again")
    up.add_argument(
        "--group", action="append", metavar="GROUP",
        help="file of group_data/ that they get besides, such as portfolio; repeatable; default as before",
    )  # fmt: skip
    up.add_argument(
        "--memory", type=size, metavar="SIZE",
        help="what a new host has, such as 2G; default all that this machine has",
    )  # fmt: skip
    prepare = add(
        "prepare", _prepare, "install what is missing on this machine and build an image", names=None
    )
    prepare.add_argument(
        "--pages", action="store_true", help="what the tests of pages need besides: a browser, and curves"
    )
    for command in (up, prepare):
        command.add_argument(
            "--image", choices=images.SUITES, help=f"{known}; default bookworm", metavar="IMAGE"
        )
    add("down", _down, "remove hosts and everything of them", names="*").add_argument(
        "--all", action="store_true", help="all hosts of this clone, and those of clones that were deleted"
    )
    add("list", _list, "show this clone's hosts", names=None).add_argument("--json", action="store_true")
    add("address", _address, "print the addresses of hosts")
    ssh = add("ssh", _ssh, "log in to a host, or run a command there; its exit code is passed on", names=None)
    ssh.add_argument("--user", choices=("root", "admin"), default="root", help="default root; admin has sudo")
    ssh.add_argument("name", metavar="NAME")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    add("cut", _one(lifecycle.cut), "cut the network cable")
    add("heal", _one(lifecycle.heal), "mend the network cable")
    add("kill", _one(lifecycle.kill), "take the power away")
    add("boot", _one(lifecycle.boot), "start again from the same disk")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 could not, 2 this machine lacks something."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        chosen = _parser().parse_args(words)
        code: int = chosen.act(chosen)
    except LabError as error:
        log.error("%s", error)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("interrupted; the next `up` or `down` of the same hosts tidies up")
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
