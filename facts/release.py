"""What `operations/release.py` reads: the releases of one app and what refers to them."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class ReleaseFields(TypedDict):
    """One whole release: what it was made from, when (Unix time), and the venvs it links to."""

    identity: str
    made: float
    venvs: list[str]


class ReleaseState(TypedDict):
    """
    All releases of one app.

    `leftovers` are paths of interrupted runs relative to the app's directory; `in_use` are names of
    releases and venvs that a running process was started from.
    """

    releases: dict[str, ReleaseFields]
    current: str | None
    previous: str | None
    venvs: list[str]
    leftovers: list[str]
    in_use: list[str]


class Releases(FactBase[ReleaseState]):
    """
    Read the releases of one app in one round trip; all empty where there are none, or no Python yet.

    + app_dir: the app's directory, such as "/opt/rec_io"
    """

    @override
    def requires_command(self, app_dir: str) -> str:
        return "python3"

    @override
    def command(self, app_dir: str) -> StringCommand:
        return script("release-state.py", app_dir)

    @staticmethod
    @override
    def default() -> ReleaseState:
        return ReleaseState(
            releases={}, current=None, previous=None, venvs=[], leftovers=[], in_use=[]
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> ReleaseState:
        state: ReleaseState = json.loads("".join(output))
        return state
