"""What a run may touch on a host: the list that is saved before its first change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOST = ""  # the scope of what no app owns


@dataclass
class Touched:
    """
    Everything that a run may change, each file with the app it belongs to (HOST for none).

    + owned: scope to paths or patterns that only the run writes; what was not there is removed by an undo
    + kept: the same of which an undo removes nothing, such as a package's own files
    + units: systemd unit to "scope" and, where its files are recorded at each start, "started", that record
    + apps: app to "root", its "roles", and the programs of `files/host/`, with their arguments, that show its
      services ("state"), bring them to its current release ("update") and end a maintenance ("leave"; [] for
      none)
    + effects: programs that make files count once they are back: "paths", "program", "arguments", "says"
    + swap: path of the swap file
    + sysctls, users, roles: names
    + cluster: "VERSION/NAME" of the PostgreSQL cluster that has the roles, None for the host's only one
    """

    owned: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    units: dict[str, dict[str, Any]] = field(default_factory=dict)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: list[dict[str, Any]] = field(default_factory=list)
    swap: str | None = None
    sysctls: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    cluster: str | None = None

    def add(self, paths: Sequence[str], *, scope: str = HOST, kept: bool = False) -> None:
        """
        Add files.

        + paths: absolute, may have `*`, may begin with `~user`
        + scope: app they belong to, default none
        + kept: whether an undo leaves those alone that were not there, default False
        """
        (self.kept if kept else self.owned).setdefault(scope, []).extend(paths)

    def effect(self, paths: Sequence[str], program: str, *arguments: str, says: str) -> None:
        """
        Add what makes restored files count.

        + paths: those that call for it
        + program: of `files/host/`
        + arguments: its arguments
        + says: what it did, for people
        """
        self.effects.append(
            {"paths": list(paths), "program": program, "arguments": list(arguments), "says": says}
        )

    def programs(self) -> set[str]:
        """Return the programs of `files/host/` that the way back needs."""
        commands = [about[verb] for about in self.apps.values() for verb in ("state", "update", "leave")]
        of_apps = {command[0] for command in commands if command}
        return {effect["program"] for effect in self.effects} | of_apps

    def sent(self) -> Mapping[str, Any]:
        """Return it as the host's program reads it."""
        scopes = sorted({*self.owned, *self.kept})
        files = {one: {"owned": self.owned.get(one, []), "kept": self.kept.get(one, [])} for one in scopes}
        return {
            "files": files, "units": self.units, "apps": self.apps, "effects": self.effects,
            "swap": self.swap, "sysctls": self.sysctls, "users": self.users, "roles": self.roles,
            "cluster": self.cluster,
        }  # fmt: skip
