"""Maintenance: an app that takes nothing new and has finished what was under way, before it is stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from typing import Any

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.maintenance import Flag
from facts.release import Releases
from facts.script import script, text
from operations.differences import differs, noted
from operations.told import told

PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
CALL = re.compile(r"(GET|POST|PUT|DELETE):/[!-~]*")


@operation()
def entered(
    app: str,
    *,
    app_dir: str,
    release: str,
    flag: str,
    port: int | None = None,
    enter: str | None = None,
    leave: str | None = None,
    drained: Mapping[str, Any] | None = None,
    drain: bool = True,
) -> Generator[StringCommand, None, None]:
    """
    Put an app into maintenance before it is switched to another release, and wait until it has drained.

    Does nothing where the release is the current one, or where there is none yet: then nothing is stopped.
    An app that does not listen has nothing to drain. One that does not drain in time fails the operation; it
    is out of maintenance again by then, and goes on as before.

    + app: name of the app, for messages
    + app_dir: its directory, such as "/opt/shop"
    + release: the one that is about to become the current one
    + flag: absolute path of the file that says so; one that is there already is not ours
    + port: that its service listens on, default none
    + enter: request that says so, as METHOD:PATH, default none
    + leave: request that takes it back, as METHOD:PATH, default none
    + drained: gates that say that nothing is under way, as `tasks.gates` renders them, default none
    + drain: whether to wait for them, default True

    Does not stop anything: what restarts the services does.

    Raises OperationError for paths and requests that are not usable.

    Example:

        maintenance.entered(
            app="shop", app_dir="/opt/shop", release="3f9c2a71", flag="/opt/shop/shared/maintenance"
        )
    """
    words = _words(flag, port, enter, leave)
    current = host.get_fact(Releases, app_dir=app_dir)["current"]
    if current is None or current == release:
        host.noop(f"{app}: no other release takes the place of a running one")
        return
    noted(f"{app} would be in maintenance while release {release} takes the place of {current}")
    given = {
        "app": app,
        "gates": text("gates.py"),
        "spec": None if drained is None else dict(drained),
        "drain": drain,
    }
    yield told(script("maintenance.py", "enter", *words, stdin=json.dumps(given)))


@operation()
def left(
    app: str,
    *,
    flag: str,
    port: int | None = None,
    leave: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Have an app take work again; a flag that an interrupted run left is removed too.

    + app: name of the app, for messages
    + flag: as for `entered`; one that somebody else has set stays
    + port: as for `entered`
    + leave: request that says so, as METHOD:PATH, default none; sent as long as the flag is there

    Raises OperationError for paths and requests that are not usable.

    Example: `maintenance.left(app="shop", flag="/opt/shop/shared/maintenance")`
    """
    words = _words(flag, port, leave, None)
    state = host.get_fact(Flag, path=flag)
    if state != "ours":
        told_why = "is not in maintenance" if state == "absent" else f"stays in it: {flag} is not this one's"
        host.noop(f"{app} {told_why}")
        return
    differs(flag, expected="none: nobody works on it", found="left by a run that was cut off")
    yield script("maintenance.py", "leave", *words)


def _words(flag: str, port: int | None, *calls: str | None) -> list[str]:
    if PATH.fullmatch(flag) is None:
        raise OperationError(f"maintenance: flag {flag!r} is not usable; write an absolute path")
    for one in calls:
        if one is not None and CALL.fullmatch(one) is None:
            raise OperationError(f"maintenance: {one!r} is no request; write it like POST:/maintenance/on")
        if one is not None and port is None:
            raise OperationError(f"maintenance: {one!r} needs 'port', the port that it is sent to")
    return [str(word) if word is not None else "-" for word in (flag, port, *calls)]
