"""What `operations/maintenance.py` reads: the flag of an app."""

from __future__ import annotations

from pyinfra.api import FactBase, QuoteString, StringCommand
from typing_extensions import override

OURS = "Set by hostwright"


class Flag(FactBase[str]):
    """
    Say whether an app's maintenance flag is "absent", "ours" or "theirs": set by somebody else.

    + path: absolute path of the flag
    """

    @staticmethod
    @override
    def default() -> str:
        return "absent"

    @override
    def command(self, path: str) -> StringCommand:
        quoted = QuoteString(path)
        return StringCommand("if [ -e", quoted, "]; then echo there; head -c 100", quoted, "; fi")

    @override
    def process(self, output: list[str]) -> str:
        if not output:
            return "absent"
        return "ours" if len(output) > 1 and output[1].startswith(OURS) else "theirs"
