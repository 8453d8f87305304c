"""What `operations/directories.py` reads: many directories in one round trip."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, QuoteString, StringCommand
from typing_extensions import override


class DirectoryFields(TypedDict):
    """One path as it is on the host; `kind` is stat's word, such as "directory"."""

    kind: str
    user: str
    group: str
    mode: str


class DirectoryStates(FactBase[dict[str, DirectoryFields]]):
    """
    Read kind, owner, group and mode of many paths; those that are not there are left out.

    + paths: absolute paths
    """

    @override
    def command(self, paths: tuple[str, ...]) -> StringCommand:
        quoted = [QuoteString(path) for path in paths]
        return StringCommand(
            "set --; for path in", *quoted, "; do if [ -e \"$path\" ] || [ -L \"$path\" ]; then",
            "set -- \"$@\" \"$path\"; fi; done; if [ $# -gt 0 ]; then stat -c '%F|%U|%G|%a|%n' -- \"$@\"; fi",
        )  # fmt: skip

    @staticmethod
    @override
    def default() -> dict[str, DirectoryFields]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, DirectoryFields]:
        states = {}
        for line in output:
            kind, user, group, mode, path = line.split("|", 4)
            states[path] = DirectoryFields(kind=kind, user=user, group=group, mode=mode.zfill(4))
        return states
