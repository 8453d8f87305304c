"""Many directories with their owners and modes, in one round trip."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import OperationError, QuoteString, StringCommand, operation

from facts.directories import DirectoryFields, DirectoryStates
from operations.differences import differs


@dataclass(frozen=True, order=True)
class Directory:
    """
    One directory.

    + path: absolute
    + user, group: owner, default root
    + mode: four octal digits as text, default "0755"
    """

    path: str
    user: str = "root"
    group: str = "root"
    mode: str = "0755"


@operation()
def present(directories: list[Directory]) -> Generator[StringCommand, None, None]:
    """
    Make directories, parents before children, and give each its owner and mode.

    + directories: in any order

    Does not converge what is inside them, nor ACLs.

    Raises OperationError for a relative path, a wrong mode, or a path that is something else.

    Example: `directories.present(directories=[Directory("/opt/shop/shared", "shop", "shop", "0750")])`
    """
    for one in directories:
        if not one.path.startswith("/"):
            raise OperationError(f"directories.present: {one.path!r} is relative; write the absolute path")
        if not re.fullmatch(r"0[0-7]{3}", one.mode):
            raise OperationError(
                f'directories.present: mode {one.mode!r} of {one.path}; write it like "0755"'
            )
    wanted = sorted(directories)
    now = host.get_fact(DirectoryStates, paths=tuple(one.path for one in wanted))
    changed = False
    for one in wanted:
        found = now.get(one.path)
        if found is not None and found["kind"] != "directory":
            raise OperationError(f"directories.present: {one.path} is a {found['kind']}; move it away first")
        if found is not None and (found["user"], found["group"], found["mode"]) == (
            one.user, one.group, one.mode,
        ):  # fmt: skip
            continue
        changed = True
        differs(one.path, expected=f"{one.user}:{one.group} {one.mode}", found=_shown(found))
        # install -d makes it, or gives an existing one its owner and mode, without touching what is inside.
        yield StringCommand(
            "install", "-d", "-o", QuoteString(one.user), "-g", QuoteString(one.group), "-m", one.mode, "--",
            QuoteString(one.path),
        )  # fmt: skip
    if not changed:
        host.noop(f"all {len(wanted)} directories are already as declared")


def _shown(found: DirectoryFields | None) -> str:
    return "none" if found is None else f"{found['user']}:{found['group']} {found['mode']}"
