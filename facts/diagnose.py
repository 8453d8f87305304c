"""What `tasks/diagnose.py` asks: everything that a host is and does, at one moment."""

from __future__ import annotations

import json
from typing import Any

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


def command(spec: dict[str, Any]) -> StringCommand:
    """Build the command that looks at a host; `spec` is what files/host/diagnose.py takes."""
    return script("diagnose.py", json.dumps(spec, sort_keys=True, separators=(",", ":")))


class Diagnosis(FactBase[dict[str, Any]]):
    """
    Look at a host for a few seconds, in one round trip; {} where it has no Python yet.

    + spec: what files/host/diagnose.py takes
    """

    @override
    def requires_command(self, spec: dict[str, Any]) -> str:
        return "python3"

    @override
    def command(self, spec: dict[str, Any]) -> StringCommand:
        return command(spec)

    @staticmethod
    @override
    def default() -> dict[str, Any]:
        return {}

    @override
    def process(self, output: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads("".join(output))
        return found
