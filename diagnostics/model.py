"""A diagnosis: what one host was and did, in the form that is published and kept."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from diagnostics.errors import DiagnosticsError
from diagnostics.parts import Amount, AppPart, Count, Group, Part, Server, Text

FORMAT = 1


class Room(Part):
    """An amount that is all there is, and the part of it that is free or used."""

    total: Count


class Memory(Room):
    """Memory of the machine, in bytes."""

    available: Count


class Swap(Room):
    """Swap of the machine, in bytes."""

    used: Count


class Clock(Part):
    """Whether somebody keeps the kernel's clock, and how wrong it may be, in seconds; null: nobody tells."""

    synchronised: bool | None
    error: float | None


class Filesystem(Part):
    """A file system, by a place on it; in bytes. `files_free` is the part of its inodes that is free."""

    place: Text
    size: Count
    free: Count
    used: Count
    files_free: float | None


class Certificate(Part):
    """A certificate, and when it ends; null where it cannot be read."""

    path: Text
    ends: float | None


class Machine(Part):
    """
    The machine.

    + container: what kind it is; then load, pressure, CPU and swap are those of the machine it is on
    + pressure: "cpu_some", "memory_some", "memory_full", "io_some", "io_full" to per cent of the last 10, 60
      and 300 seconds in which somebody (some) or everybody (full) waited; null where the kernel counts none
    + failed_units: of systemd
    + restart_required: whether an upgrade asks for it
    + certificates: Let's Encrypt's and the database server's
    """

    container: Text
    cpus: Count
    uptime: Amount
    load: list[Amount]
    memory: Memory
    swap: Swap
    pressure: dict[Text, list[Amount]] | None
    clock: Clock
    failed_units: list[Text]
    restart_required: bool
    filesystems: list[Filesystem]
    certificates: list[Certificate]


class Updates(Part):
    """Pending updates, by lists that were read `lists_age` seconds ago; null where there are no lists."""

    all: Count | None
    security: Count | None
    lists_age: Amount | None


class Run(Part):
    """A line of the ledger."""

    id: Text
    purpose: Text
    owner: Text
    began: float
    ended: float
    outcome: Text
    changes: Count | None
    releases: dict[Text, Text]


class Found(Part):
    """
    What the program on the host says.

    + made: when, in seconds since 1970 by the host's clock
    + sampled: seconds
    + busy: samples of the machine's processors, in per cent of all
    + others: groups of processes that are no app's service, by unit
    + took: seconds on the host, sampling included
    + problems: what could not be found out; the parts it is about are null or empty
    """

    format: Literal[1]
    made: float
    sampled: Amount
    busy: list[Amount]
    apps: dict[Text, AppPart]
    others: dict[Text, Group]
    machine: Machine | None
    updates: Updates | None
    versions: dict[Text, Text] | None
    database: Server | None
    ledger: list[Run] | None
    journal: Count | None
    took: Amount
    problems: list[Text]


class Diagnosis(Found):
    """
    A diagnosis as it is kept.

    + id: of the run that made it; the same for all hosts of it, and sorts by time
    + environment, host: whose
    + purpose: such as "diagnose.py", or "deploy.py: before"
    + ahead: seconds that the host's clock is ahead of this machine's, give or take the way of the answer
    """

    id: Text
    environment: Text
    host: Text
    purpose: Text
    ahead: float


def read(found: Any, where: str) -> Diagnosis:
    """
    Return a diagnosis out of what was JSON.

    Raises DiagnosticsError where it is none, or one of another version of hostwright.
    """
    said = found.get("format") if isinstance(found, dict) else None
    if said != FORMAT:
        raise DiagnosticsError(
            f"{where}: is of format {said!r}, and this hostwright reads {FORMAT}; diagnose anew"
        )
    try:
        return Diagnosis.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DiagnosticsError(f"{where}: {place}: {first['msg']}; diagnose anew") from None


def schema() -> dict[str, Any]:
    """Return the published JSON schema."""
    made = Diagnosis.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "hostwright diagnosis",
    }
