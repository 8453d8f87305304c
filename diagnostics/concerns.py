"""What of one diagnosis somebody should look at: limits that hold for every host, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from diagnostics.model import Diagnosis, Machine
from diagnostics.parts import AppPart, Server
from diagnostics.words import duration, percent, size

DISK_PERCENT, FILES_FREE = 90, 0.1
MEMORY_FREE_PERCENT = 5
BACKUP_HOURS, PROOF_DAYS = 26, 8
CERTIFICATE_DAYS = 14
CONNECTIONS_PERCENT = 80
TRANSACTION_SECONDS = 300
DEAD_PERCENT, DEAD_BYTES = 40, 64 << 20
FROZEN_AGE = 1_500_000_000
LISTS_DAYS = 3
AHEAD_SECONDS = 30


class Concern(NamedTuple):
    """
    Something to look at.

    + key: what it is about; the same in the next diagnosis
    + text: in words, with the number
    """

    key: str
    text: str


def concerns(found: Diagnosis) -> list[Concern]:
    """Return what somebody should look at, the services first."""
    said: list[Concern] = []
    for name, app in found.apps.items():
        said += _of_app(name, app, found.made)
    if found.machine is not None:
        said += _of_machine(found.machine, found.made)
    if found.database is not None:
        said += _of_server(found.database)
    if found.updates is not None:
        if found.updates.security:
            said.append(Concern("updates", f"{found.updates.security} security updates are pending"))
        age = found.updates.lists_age
        if age is not None and age > LISTS_DAYS * 86400:
            said.append(Concern("lists", f"package lists are {duration(age)} old: updates are not known"))
    if abs(found.ahead) > AHEAD_SECONDS:
        said.append(Concern("clock ahead", f"its clock is {duration(found.ahead)} ahead of this machine's"))
    return said + [Concern(f"problem {one}", f"not known: {one}") for one in found.problems]


def _of_app(name: str, app: AppPart, now: float) -> Iterator[Concern]:
    for label, service in app.services.items():
        which = f"{name}/{label}"
        if service.state != "RUNNING":
            yield Concern(f"state {which}", f"{which} is {service.state}")
        if not service.declared:
            yield Concern(f"declared {which}", f"{which} is there, and is not declared")
        if service.log.errors:
            span = duration(service.log.seconds)
            yield Concern(f"errors {which}", f"{which} logged {service.log.errors} errors in {span}")
    for one in app.supervisor.findings if app.supervisor is not None else ():
        yield Concern(f"supervisor {name} {one}", f"supervisor of {name}: {one}")
    kept = app.backups
    if kept is None:
        return
    if kept.newest is None or now - kept.newest > BACKUP_HOURS * 3600:
        age = f"is {duration(now - kept.newest)} old" if kept.newest is not None else "was never made"
        yield Concern(f"backup {name}", f"the newest backup of {name} {age}")
    if kept.newest is not None and kept.proven is None:
        yield Concern(f"proof {name}", f"no backup of {name} has been proven yet")
    elif kept.proven is not None and now - kept.proven > PROOF_DAYS * 86400:
        yield Concern(
            f"proof {name}", f"a backup of {name} was last proven {duration(now - kept.proven)} ago"
        )
    for what, why in (("backup", kept.failed), ("proof", kept.proof_failed), ("copy", kept.copy_failed)):
        if why is not None:
            yield Concern(f"{what} failed {name}", f"the last {what} of {name} failed: {why}")


def _of_machine(machine: Machine, now: float) -> Iterator[Concern]:
    for one in machine.filesystems:
        used = percent(one.used, one.used + one.free)
        if used > DISK_PERCENT:
            yield Concern(f"disk {one.place}", f"{one.place} is {used:.0f} % full, {size(one.free)} are free")
        if one.files_free is not None and one.files_free < FILES_FREE:
            free = f"{100 * one.files_free:.0f} %"
            yield Concern(f"files {one.place}", f"{one.place} has room for {free} of its files")
    available = percent(machine.memory.available, machine.memory.total)
    if available < MEMORY_FREE_PERCENT:
        yield Concern("memory", f"{available:.0f} % of memory is available")
    for unit in machine.failed_units:
        yield Concern(f"unit {unit}", f"unit {unit} has failed: systemctl status {unit}")
    # A container has the clock of the machine that it is on.
    if machine.clock.synchronised is False and not machine.container:
        yield Concern("clock", "its clock is kept by nobody: timedatectl")
    for certificate in machine.certificates:
        if certificate.ends is None:
            yield Concern(f"certificate {certificate.path}", f"{certificate.path} cannot be read")
        elif certificate.ends - now < CERTIFICATE_DAYS * 86400:
            left = duration(certificate.ends - now)
            yield Concern(f"certificate {certificate.path}", f"{certificate.path} ends in {left}")
    if machine.restart_required:
        yield Concern("restart", "an upgrade asks for a restart of the machine")


def _of_server(server: Server) -> Iterator[Concern]:
    used = percent(server.used, server.max)
    if used > CONNECTIONS_PERCENT:
        yield Concern("connections", f"{server.used} of {server.max} database connections are in use")
    if server.oldest_transaction > TRANSACTION_SECONDS:
        age = duration(server.oldest_transaction)
        yield Concern("transaction", f"a transaction is open for {age}: dead rows cannot be removed")
    if server.frozen_age > FROZEN_AGE:
        yield Concern("frozen", f"a database was not frozen for {server.frozen_age} transactions: VACUUM")
    for name, one in server.databases.items():
        dead = percent(one.dead_rows, one.dead_rows + one.live_rows)
        if dead > DEAD_PERCENT and one.dead_bytes > DEAD_BYTES:
            yield Concern(f"dead rows {name}", f"{dead:.0f} % of the rows of {name} are dead: VACUUM")
