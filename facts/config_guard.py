"""What `operations/config_guard.py` reads: how the guard of configuration files stands, and what it saw."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class GuardFields(TypedDict):
    """
    How the guard stands.

    `files`: path to "sha256", "mode" and "owner" of what it is made of. `runs`: whether it runs with that,
    now and after a boot. `waiting`: path to why it is not as it was accepted, without any value.
    """

    files: dict[str, dict[str, str]]
    runs: bool
    waiting: dict[str, str]


class Guard(FactBase[GuardFields]):
    """Read in one round trip how the guard stands; all empty on a bare host."""

    @override
    def requires_command(self) -> str:
        return "python3"

    @override
    def command(self) -> StringCommand:
        return script("config-guard-control.py", "state")

    @staticmethod
    @override
    def default() -> GuardFields:
        return GuardFields(files={}, runs=False, waiting={})

    @override
    def process(self, output: list[str]) -> GuardFields:
        found: GuardFields = json.loads("".join(output))
        return found


class ConfigChanges(FactBase[dict[str, Any]]):
    """
    Read what the guard has recorded, for people.

    "installed", "runs", "problem" (why it cannot tell who, or None), "accepted" (when), "differs" (path to
    "changed", "difference" and "put_back"), "changes" (those that no run made and none has accepted) and
    "all" (the last 200, those of runs too). {} without Python.
    """

    @override
    def requires_command(self) -> str:
        return "python3"

    @override
    def command(self) -> StringCommand:
        return script("config-guard-control.py", "changes")

    @staticmethod
    @override
    def default() -> dict[str, Any]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads("".join(output))
        return found
