"""What `operations/names.py` reads: whether an app's names are somebody else's."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class Taken(FactBase[list[str]]):
    """
    List what already has an app's names and is not ours, a sentence each; empty where nothing has.

    + app: name of the app
    + user: its service user
    + home: that user's home, by which ours is known
    """

    @override
    def command(self, app: str, user: str, home: str) -> StringCommand:
        return script("names-taken.sh", app, user, home)

    @staticmethod
    @override
    def default() -> list[str]:
        return []

    @override
    def process(self, output: list[str]) -> list[str]:
        return [line for line in output if line]
