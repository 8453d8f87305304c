"""What `operations/accounts.py` reads: one account, without a look at all the others."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, QuoteString, StringCommand
from typing_extensions import override


class AccountFields(TypedDict):
    """One account; `group` says whether there is a group of its name."""

    home: str | None
    shell: str | None
    group: bool


class Account(FactBase[AccountFields]):
    """
    Read one account; home and shell are None where there is none.

    + user: its name
    """

    @override
    def command(self, user: str) -> StringCommand:
        name = QuoteString(user)
        # getent exits with 2 for what is not there.
        found = [word for kind in ("passwd", "group") for word in ("getent", kind, name, "|| [ $? -eq 2 ];")]
        return StringCommand(*found)

    @staticmethod
    @override
    def default() -> AccountFields:
        return {"home": None, "shell": None, "group": False}

    @override
    def process(self, output: list[str]) -> AccountFields:
        found = self.default()
        for line in output:
            fields = line.split(":")
            if len(fields) == 7:
                found["home"], found["shell"] = fields[5], fields[6]
            else:
                found["group"] = True
        return found
