"""What `operations/venv.py` reads: the host's Python and an app's virtual environments."""

from __future__ import annotations

import json
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class VenvState(TypedDict):
    """The interpreter's version such as "3.11", None where it is missing; each whole venv's version."""

    python: str | None
    venvs: dict[str, str]


class Venvs(FactBase[VenvState]):
    """
    Read the host's Python version and the app's whole virtual environments in one round trip.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + python: the interpreter that environments are made from

    All empty where no python3 is installed yet.
    """

    @override
    def requires_command(self, app_dir: str, python: str) -> str:
        return "python3"

    @override
    def command(self, app_dir: str, python: str) -> StringCommand:
        return script("venv-state.py", app_dir, python)

    @staticmethod
    @override
    def default() -> VenvState:
        return VenvState(python=None, venvs={})

    @override
    def process(self, output: list[str]) -> VenvState:
        state: VenvState = json.loads("".join(output))
        return state
