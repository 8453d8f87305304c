"""What `operations/release.py` reads: the releases of one app and what refers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class About(TypedDict):
    """
    What a release says of itself; no part of what it is.

    `commit` is that of the application's directory, None outside git; `dirty`: the directory differed from
    it. `digest` is the tree's. `schema` is what the caller stated of the database, default None.
    """

    commit: str | None
    dirty: bool
    digest: str
    schema: Mapping[str, Any] | None


class ReleaseFields(TypedDict):
    """
    One whole release: what it was made from, when (Unix time), and what it refers to.

    `venvs` are those that it links to, `parts` those that its services stand in; `about` is what it says
    of itself, None where it was made without.
    """

    identity: str
    made: float
    venvs: list[str]
    parts: list[str]
    about: About | None


class ReleaseState(TypedDict):
    """
    All releases of one app.

    `parts` leads from a part's name to the release that its files lie in, None where that is gone.
    `leftovers` are paths of interrupted runs relative to the app's directory; `in_use` are names of
    releases, venvs and parts that a running process was started from; `good` are releases that were
    confirmed, the earliest first.
    """

    releases: dict[str, ReleaseFields]
    current: str | None
    previous: str | None
    venvs: list[str]
    parts: dict[str, str | None]
    leftovers: list[str]
    in_use: list[str]
    good: list[str]


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
            releases={}, current=None, previous=None, venvs=[], parts={}, leftovers=[], in_use=[], good=[]
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> ReleaseState:
        state: ReleaseState = json.loads("".join(output))
        return state
