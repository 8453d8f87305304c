"""What `operations/packages.py` reads: packages, the age of their lists, locks, and units."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class ReadyFields(TypedDict):
    """What has to end (`waits`) and what has to be repaired (`interrupted`) before packages are installed."""

    waits: list[str]
    interrupted: list[str]


class Ready(FactBase[ReadyFields]):
    """Read what stands in the way of installing packages; two empty lists where nothing does."""

    @override
    def command(self) -> StringCommand:
        return script("packages-ready.sh")

    @override
    @staticmethod
    def default() -> ReadyFields:
        return ReadyFields(waits=[], interrupted=[])

    @override
    def process(self, output: list[str]) -> ReadyFields:
        lines = [line.partition(" ")[::2] for line in output]
        return ReadyFields(
            waits=[value for word, value in lines if word == "waits"],
            interrupted=[value for word, value in lines if word == "interrupted"],
        )


class PackagesFields(TypedDict):
    """
    Some packages as they are.

    `lists_age` is in seconds, None where there are no package lists or the sources changed since, and where
    nobody needs it: all are installed, and no upgrade was asked for. `pending` names what an upgrade would
    install, and is empty where that was not asked.
    """

    installed: list[str]
    lists_age: int | None
    pending: list[str]


class Packages(FactBase[PackagesFields]):
    """
    Read which of some packages are installed, and how old the package lists are, in one round trip.

    + packages: names of packages, or of what packages provide
    + upgrades: also simulate an upgrade, which takes about half a second where one is pending, default False
    """

    @override
    def command(self, packages: list[str], upgrades: bool = False) -> StringCommand:
        return script(
            "packages-state.sh", "alone", "upgrades" if upgrades else "no-upgrades", " ".join(packages)
        )

    @override
    @staticmethod
    def default() -> PackagesFields:
        return PackagesFields(installed=[], lists_age=None, pending=[])

    @override
    def process(self, output: list[str]) -> PackagesFields:
        lines = [line.partition(" ")[::2] for line in output]
        ages = [int(value) for word, value in lines if word == "lists"]
        return PackagesFields(
            installed=[value for word, value in lines if word == "installed"],
            lists_age=ages[0] if ages else None,
            pending=[value for word, value in lines if word == "pending"],
        )


class UnitFields(TypedDict):
    """
    One systemd unit: masked; the files that show somebody uses it, where it is not; where it is neither
    masked nor in use, whether systemd knows it and whether it runs.
    """

    masked: bool
    known: bool
    running: bool
    used: list[str]


class Unit(FactBase[UnitFields]):
    """
    Read whether a unit is masked, else whether somebody uses it, else whether it is known and runs.

    It need not exist.

    + unit: unit's name with its ending
    + used_by: shell patterns of files that show that somebody uses it
    """

    @override
    def command(self, unit: str, used_by: list[str]) -> StringCommand:
        return script("packages-unit.sh", unit, *used_by)

    @override
    def process(self, output: list[str]) -> UnitFields:
        lines = [line.partition(" ")[::2] for line in output]
        words = dict(lines)
        return UnitFields(
            masked=words.get("masked") == "yes",
            known=words.get("load") != "not-found",
            running=words.get("state") in ("active", "activating", "reloading"),
            used=[value for word, value in lines if word == "used"],
        )
