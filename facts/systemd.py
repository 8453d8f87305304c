"""What `operations/systemd.py` reads: the services of one app, against those of its current release."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class ServicesState(TypedDict):
    """
    One app's services under systemd.

    `services`: unit of each service of the current release. `due`: for each unit that has to be started or
    restarted, why. `disabled`: units that a boot would not start. `reload`: whether systemd has older units
    than the disk. `stale`: units of the app that the current release does not have.
    """

    services: dict[str, str]
    due: dict[str, list[str]]
    disabled: list[str]
    reload: bool
    stale: list[str]


class Services(FactBase[ServicesState]):
    """
    Read one app's services in one round trip; all empty without a current release, or no Python yet.

    + app: name of the app
    + root: its directory, such as "/opt/shop"
    """

    @override
    def requires_command(self, app: str, root: str) -> str:
        return "python3"

    @override
    def command(self, app: str, root: str) -> StringCommand:
        return script("systemd-control.py", "state", app, root)

    @staticmethod
    @override
    def default() -> ServicesState:
        return ServicesState(services={}, due={}, disabled=[], reload=False, stale=[])

    @override
    def process(self, output: list[str]) -> ServicesState:
        state: ServicesState = json.loads("".join(output))
        return state
