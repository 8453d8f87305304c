"""The guard of configuration files: a service that records who changes them, and what a run accepts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand, operation

from facts.config_guard import Guard, GuardFields
from facts.script import script, text
from operations.differences import differs
from operations.systemd_text import name, path
from operations.told import told

UNIT = "hostwright-config-guard.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
PROGRAM = "/usr/local/lib/hostwright/config-guard/config-guard.py"
DECLARATION = "/etc/hostwright/config-guard.json"
MANIFEST = "/var/lib/hostwright/config-guard/manifest.json"
STARTED = "/run/hostwright-config-guard.started"
# What an undo puts back.
FILES = (DECLARATION, PROGRAM, UNIT_FILE, f"/etc/systemd/system/multi-user.target.wants/{UNIT}", MANIFEST)


@dataclass(frozen=True)
class Watch:
    """
    What of one app is watched.

    + app: its name
    + trees: directories, or files, of which everything counts
    + files: paths that may have `*`, within a directory
    + shown: files without a secret: their accepted text is kept, and what differs is told line by line;
      of all others only which keys differ
    + kept: files, or directories of files, that no run writes again, default none
    """

    app: str
    trees: Sequence[str]
    files: Sequence[str] = ()
    shown: Sequence[str] = ()
    kept: Sequence[str] = ()


def files(watches: Sequence[Watch]) -> dict[str, tuple[str, str]]:
    """
    Return path to text and mode of what the guard is made of.

    Raises OperationError for a name or path that is not usable.
    """
    apps = {}
    for one in watches:
        for place in (*one.trees, *one.shown, *one.kept):
            path(place, f"config_guard: of {one.app}")
        for place in one.files:
            path(place.replace("*", "x"), f"config_guard: of {one.app}")
        lists = {"trees": one.trees, "files": one.files, "shown": one.shown, "kept": one.kept}
        apps[name(one.app, "app")] = {key: sorted(value) for key, value in lists.items()}
    return {
        DECLARATION: (json.dumps({"apps": apps}, indent=1, sort_keys=True) + "\n", "0600"),
        PROGRAM: (text("config-guard.py"), "0755"),
        UNIT_FILE: (text(f"../units/{UNIT}"), "0644"),
    }


def difference(wanted: dict[str, tuple[str, str]], now: GuardFields) -> list[str]:
    """Return the files that are not as they should be."""
    return [
        place
        for place, (body, mode) in wanted.items()
        if now["files"].get(place)
        != {"sha256": hashlib.sha256(body.encode()).hexdigest(), "mode": mode, "owner": "0:0"}
    ]


@operation()
def watching(watches: Sequence[Watch]) -> Generator[StringCommand, None, None]:
    """
    Have a service of the host record every change of these files: what, when, and which process.

    It keeps no value of a secret. What it has recorded is in /var/log/hostwright/config-changes.jsonl, root's
    alone and bounded. Where the kernel does not permit fanotify it finds changes within a minute, not who.

    + watches: one for each app, in any order

    Does not accept anything: `accepted` does.

    Raises OperationError for a name or path that is not usable.

    Example: `config_guard.watching(watches=[Watch("shop", trees=["/etc/shop"])])`
    """
    wanted = files(watches)
    now = host.get_fact(Guard)
    changed = difference(wanted, now)
    if not changed and now["runs"]:
        host.noop(f"the configuration of {len(watches)} apps is watched already")
        return
    for place in changed:
        there = place in now["files"]
        differs(place, expected="as declared", found="another content or mode" if there else "none")
    if not changed:
        differs(UNIT, expected="running, and started by a boot", found="not so")
    given = {"files": {place: {"text": wanted[place][0], "mode": wanted[place][1]} for place in changed}}
    yield script("config-guard-control.py", "apply", stdin=json.dumps(given))


@operation()
def absent() -> Generator[StringCommand, None, None]:
    """
    Have no guard; what it has recorded stays.

    Example: `config_guard.absent(name="Watch no configuration")`
    """
    if not host.get_fact(Guard)["files"]:
        host.noop("no guard of configuration files is there")
        return
    differs(UNIT, expected="none", found="there")
    yield script("config-guard-control.py", "remove")


@operation()
def accepted() -> Generator[StringCommand, None, None]:
    """
    Take the watched files as they are now for what is meant: what others changed before is forgiven.

    What anybody but this run changed while it ran is not: it is said, and stays a difference.

    Call it when every gate has passed, right before the confirmation: an undo brings back what was accepted
    before. Fails where the guard is not there by then.

    Example: `config_guard.accepted(name="Accept the configuration as it is now")`
    """
    now = host.get_fact(Guard)
    if now["files"] and not now["waiting"]:
        host.noop("the configuration is as it was accepted")
        return
    # On a host that has no guard yet it is asked before that is made.
    for place, why in (now["waiting"] or {MANIFEST: "nothing was accepted yet"}).items():
        differs(place, expected="as it was accepted", found=why)
    yield told(script("config-guard-control.py", "accept"))
