"""The parts of a diagnosis that are about services and databases: `model` puts them together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

LONGEST = 400


def _one_line(value: str) -> str:
    # A host may be somebody else's by now: what it says must do nothing to a terminal.
    return "".join(one if one.isprintable() else "?" for one in value)[:LONGEST]


Text = Annotated[str, AfterValidator(_one_line)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of all parts: a field that nobody knows is an error, and so is one that is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessRow(Part):
    """A process, by its name and never by its arguments: CPU in per cent of one core, resident bytes."""

    pid: Count
    name: Text
    user: Text
    threads: Count
    cpu: Amount
    memory: Count


class Group(Part):
    """
    A whole group of processes: a service with all that it started, or a unit.

    + cpu: samples, in per cent of one core
    + memory: samples, in bytes: what each process has for itself or swapped out, and once what they share
    + count: of processes
    + processes: those that use most
    """

    cpu: list[Amount]
    memory: list[Count]
    count: Count
    processes: list[ProcessRow]


class Log(Part):
    """
    What a service logs.

    + bytes: of its files now, null for a journal
    + rate: bytes a second, in slices of the last minute; its first 2 s after a start do not count
    + seconds: how long that time is
    + errors: lines in it with ERROR, CRITICAL, FATAL or a traceback
    """

    bytes: Count | None
    rate: list[Amount]
    seconds: Amount
    errors: Count


class Service(Part):
    """
    A service as its process manager sees it.

    + declared: whether group_data declares it
    + state: RUNNING, or what its manager calls it; MISSING where it does not know it
    + pid, user: of its first process, null where there is none
    + uptime: in seconds
    + restarts: how often it ended by itself since its supervisor began, or its unit was started; null where
      nobody knows
    + recovery: the longest of these until it was RUNNING again, in seconds, by the supervisor's log
    + group: null where it has no process
    """

    declared: bool
    state: Text
    pid: Count | None
    uptime: Amount | None
    restarts: Count | None
    recovery: Amount | None
    user: Text | None
    group: Group | None
    log: Log


class Supervisor(Part):
    """How an app's supervisor is closed to others; `findings` is what is not as it should be, in words."""

    socket: Text | None
    mode: Text | None
    owner: Text | None
    over_network: bool
    relative: list[Text]
    user: Text | None
    findings: list[Text]


class Volume(Part):
    """What is below a directory."""

    bytes: Count
    files: Count


class Backups(Part):
    """
    An app's backups; times in seconds since 1970.

    + newest, bytes: of the newest backup, null where there is none
    + failed, proof_failed, copy_failed: why the last try failed, null where it did not
    + proven: when one was last restored and compared
    + copied: when one was last copied elsewhere
    """

    newest: float | None
    bytes: Count | None
    failed: Text | None
    proven: float | None
    proof_failed: Text | None
    copied: float | None
    copy_failed: Text | None


class AppPart(Part):
    """One app: services, what it keeps, backups. `data` is what outlives releases, without the logs."""

    manager: Literal["supervisor", "systemd"]
    release: Text | None
    services: dict[Text, Service]
    supervisor: Supervisor | None
    logs: Volume | None
    data: Volume | None
    backups: Backups | None
    backup_volume: Volume | None


class Statement(Part):
    """A statement of pg_stat_statements, without its values; `total_ms` is of all calls together."""

    query: Text
    role: Text
    calls: Count
    total_ms: Amount
    rows: Count


class DatabasePart(Part):
    """
    One database; counters are since `since`.

    + hit, read: pages found in the cache, and not
    + written: rows that were inserted, updated or deleted
    + connections: state to number
    + dead_rows, live_rows, dead_bytes: an estimate of bloat; free room within pages is not in it
    + tables: the largest, with their indexes, in bytes
    + statements: those that cost most; null where pg_stat_statements counts nothing
    """

    bytes: Count
    hit: Count
    read: Count
    commits: Count
    rollbacks: Count
    written: Count
    deadlocks: Count
    since: float
    connections: dict[Text, Count]
    dead_rows: Count
    live_rows: Count
    dead_bytes: Count
    tables: dict[Text, Count]
    statements: list[Statement] | None


class Server(Part):
    """
    The database server.

    + used, max: connections of clients
    + oldest_transaction: seconds that the oldest open one of a client is old
    + waiting: clients that wait for a lock
    + frozen_age: transactions since the oldest database was frozen; at 2 billion the server stops
    """

    cluster: Text
    used: Count
    max: Count
    oldest_transaction: Amount
    waiting: Count
    frozen_age: Count
    databases: dict[Text, DatabasePart]
