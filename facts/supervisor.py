"""What `operations/supervisor.py` reads: one app's unit, its supervisor and its programs."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class SupervisorState(TypedDict):
    """
    One app's supervisor.

    `fresh`: it was started with the configuration, unit and env file that are on the disk now. `answers`:
    its socket does, and its configuration can be read. `pending`: programs whose configuration is not the
    running one. `programs`: state of each program that is declared to run.
    """

    active: bool
    enabled: bool
    fresh: bool
    answers: bool
    pending: list[str]
    programs: dict[str, str]


class Supervisor(FactBase[SupervisorState]):
    """
    Read one app's unit, supervisor and programs in one round trip.

    + app: name of the app
    + config_path: its supervisord.conf

    All False and empty where supervisor is not installed yet. Has the supervisor read its configuration
    again, as `supervisorctl reread` does, which changes nothing that runs.
    """

    @override
    def requires_command(self, app: str, config_path: str) -> str:
        return "supervisord"

    @override
    def command(self, app: str, config_path: str) -> StringCommand:
        return script("supervisor-control.py", "state", f"{app}.service", config_path)

    @staticmethod
    @override
    def default() -> SupervisorState:
        return SupervisorState(
            active=False, enabled=False, fresh=False, answers=False, pending=[], programs={}
        )  # fmt: skip

    @override
    def process(self, output: list[str]) -> SupervisorState:
        state: SupervisorState = json.loads("".join(output))
        return state
