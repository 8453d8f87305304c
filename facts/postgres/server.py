"""Facts about the server itself: whether it runs, its settings, and who may come in."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.postgres import cluster as at


class RunningFields(TypedDict):
    """
    How a cluster starts (start.conf's word), systemd's word for the unit, and whether it is up.

    `ram` is the host's, in kB.
    """

    start: str
    unit: str
    up: bool
    ram: int


class Running(FactBase[RunningFields | None]):
    """
    Read whether the cluster accepts connections and starts at boot; None where there is no cluster.

    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, cluster: str | None = None) -> StringCommand:
        return at.program("postgres-running.sh", "ask", need=at.ASK_EXISTS, cluster=cluster)

    @override
    def process(self, output: list[str]) -> RunningFields | None:
        if not output:
            return None
        start, unit, state, ram = output[-1].split("|")
        return RunningFields(start=start, unit=unit, up=state == "up", ram=int(ram))


class FileFields(TypedDict):
    """A configuration file: `user:group`, mode, and whether the server loaded it since it was written."""

    owner: str
    mode: str
    sha256: str | None
    loaded: bool


def configuration(output: list[str]) -> tuple[FileFields | None, dict[str, Any]] | None:
    """Read stat's line, where the file is there, and the JSON after it."""
    if not output:
        return None
    details: dict[str, Any] = json.loads(output[-1])
    if len(output) == 1:
        return None, details
    owner, mode, mtime = output[0].split("|")
    loaded = float(mtime) <= float(details["loaded"])
    return FileFields(owner=owner, mode=mode.zfill(4), sha256=details["sha256"], loaded=loaded), details


class SettingFields(TypedDict):
    """One declared setting: the file and line that win, and where the running value is from."""

    name: str
    file: str | None
    line: int | None
    source: str | None


class SettingsFields(TypedDict):
    """
    Our file (None if missing) and its path, the settings declared in it, and those that wait for a restart.

    `ram` is the host's, in kB.
    """

    file: FileFields | None
    path: str
    include: bool
    ram: int
    settings: list[SettingFields]
    pending: list[str]


class Settings(at.CatalogFact[SettingsFields | None]):
    """
    Read where declared server settings come from, and the file of conf.d that declares them.

    + file: file name below conf.d
    + names: settings to look for, in lower case
    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, file: str, names: list[str], cluster: str | None = None) -> StringCommand:
        return at.asked("postgres-settings.sql", cluster=cluster, file=file, names=json.dumps(names))

    @override
    def process(self, output: list[str]) -> SettingsFields | None:
        found = configuration(output)
        if found is None:
            return None
        file, details = found
        return SettingsFields(
            file=file,
            path=details["path"],
            include=details["include"],
            ram=details["ram"],
            settings=details["settings"],
            pending=details["pending"],
        )


class HbaFields(TypedDict):
    """pg_hba.conf, its path, and how many of its lines the server refuses."""

    file: FileFields | None
    path: str
    errors: int


class Hba(at.CatalogFact[HbaFields | None]):
    """
    Read the state of the file of access rules.

    + cluster: "VERSION/NAME", default the host's only one
    """

    @override
    def command(self, cluster: str | None = None) -> StringCommand:
        return at.asked("postgres-hba.sql", cluster=cluster)

    @override
    def process(self, output: list[str]) -> HbaFields | None:
        found = configuration(output)
        if found is None:
            return None
        file, details = found
        return HbaFields(file=file, path=details["path"], errors=details["errors"])
