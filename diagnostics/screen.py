"""One diagnosis on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from diagnostics.concerns import concerns
from diagnostics.model import Diagnosis
from diagnostics.parts import AppPart, DatabasePart, Group, Service
from diagnostics.tables import Columns, rendered
from diagnostics.words import duration, mean, percent, size, when

OTHERS, STATEMENTS = 6, 3


def shown(found: Diagnosis, before: Diagnosis | None, file: str, *, terminal: bool | None = None) -> str:
    """
    Return what people see of a diagnosis.

    + before: the host's last one, for what has grown since
    + file: where it is kept
    + terminal: whether one reads it, default whether it does
    """
    parts: list[str | Columns] = [
        f"{found.host}  {found.environment}  {when(found.made)}  sampled {found.sampled:.1f} s, "
        f"took {found.took:.1f} s"
    ]
    said = concerns(found)
    parts += [f"! {one.text}" for one in said] or ["nothing to look at"]
    for name, app in found.apps.items():
        parts += ["", f"{name}: release {app.release or 'none'}, under {app.manager}", _services(app)]
        parts += _kept(name, app, before, found.made)
    parts += ["", _others(found.others)]
    parts += ["", *_machine(found, before), *_database(found, before), *_more(found)]
    return rendered([*parts, f"kept in {file}", ""], terminal=terminal)


def grown(now: int | None, then: int | None) -> str:
    """Return how much something has grown, in words; nothing where that is not known."""
    if now is None or then is None:
        return ""
    return f" ({'+' if now >= then else ''}{size(now - then)})"


def cpu(group: Group | None) -> str:
    """Return the mean and the peak of a group's samples, in per cent of one core."""
    return f"{mean(group.cpu):.1f} / {max(group.cpu, default=0):.0f}" if group is not None else "-"


def _services(app: AppPart) -> Columns:
    made = Columns(
        ["service", "state", ">pid", ">up", ">restarts", ">CPU % mean/peak", ">memory", ">processes",
         ">log B/s", ">errors"],
    )  # fmt: skip
    for name, one in app.services.items():
        made.add(name, *_service(one), colour="red" if one.state != "RUNNING" else None)
    return made


def _service(one: Service) -> Iterator[str]:
    yield one.state
    yield str(one.pid or "-")
    yield duration(one.uptime) if one.uptime is not None else "-"
    mended = f" ({duration(one.recovery)})" if one.recovery is not None else ""
    yield f"{one.restarts}{mended}" if one.restarts is not None else "?"
    yield cpu(one.group)
    yield size(mean(one.group.memory)) if one.group is not None else "-"
    yield str(one.group.count) if one.group is not None else "-"
    yield f"{mean(one.log.rate):.0f}" if one.log.rate else "-"
    yield str(one.log.errors)


def _others(groups: dict[str, Group]) -> Columns:
    made = Columns(["beside them", ">CPU % mean/peak", ">memory", ">processes"])
    largest = sorted(groups.items(), key=lambda item: (-mean(item[1].cpu), -mean(item[1].memory)))
    for name, one in largest[:OTHERS]:
        made.add(name, cpu(one), size(mean(one.memory)), str(one.count))
    return made


def _kept(name: str, app: AppPart, before: Diagnosis | None, now: float) -> Iterator[str]:
    then = before.apps.get(name) if before is not None else None
    said = []
    for what in ("logs", "data", "backup_volume"):
        volume, old = getattr(app, what), getattr(then, what, None)
        if volume is not None:
            change = grown(volume.bytes, old.bytes if old is not None else None)
            said.append(f"{what.replace('_volume', 's')} {size(volume.bytes)}{change}")
    kept = app.backups
    if kept is not None:
        made = f"{duration(now - kept.newest)} ago" if kept.newest is not None else "never"
        proven = f"{duration(now - kept.proven)} ago" if kept.proven is not None else "never"
        said.append(f"the newest made {made}, proven {proven}")
    yield ", ".join(said)
    if app.supervisor is not None:
        one = app.supervisor
        closed = "closed" if not one.findings else f"{len(one.findings)} findings"
        yield f"supervisor: {closed}; socket {one.socket} {one.mode} of {one.owner}, runs as {one.user}"


def _machine(found: Diagnosis, before: Diagnosis | None) -> Iterator[str]:
    machine = found.machine
    if machine is None:
        return
    on = f" (of the machine that this {machine.container} is on)" if machine.container else ""
    loads = " ".join(f"{one:.2f}" for one in machine.load)
    yield (
        f"machine{on}: {machine.cpus} cores {mean(found.busy):.0f} % busy, load {loads}, "
        f"memory {size(machine.memory.available)} of {size(machine.memory.total)} available, "
        f"swap {size(machine.swap.used)} of {size(machine.swap.total)} used"
    )
    if machine.pressure is not None:
        waited = ", ".join(f"{key.replace('_', ' ')} {one[0]:.0f}" for key, one in machine.pressure.items())
        yield f"pressure, % of the last 10 s: {waited}"
    old = {one.place: one for one in before.machine.filesystems} if before and before.machine else {}
    for one in machine.filesystems:
        change = grown(one.used, old[one.place].used if one.place in old else None)
        yield f"disk {one.place}: {size(one.used)} used{change}, {size(one.free)} free"


def _database(found: Diagnosis, before: Diagnosis | None) -> Iterator[str]:
    server = found.database
    if server is None:
        return
    yield (
        f"PostgreSQL {server.cluster}: {server.used} of {server.max} connections, {server.waiting} wait for "
        f"a lock, oldest transaction {duration(server.oldest_transaction)}"
    )
    then = before.database.databases if before is not None and before.database is not None else {}
    for name, one in server.databases.items():
        change = grown(one.bytes, then[name].bytes if name in then else None)
        dead = percent(one.dead_rows, one.dead_rows + one.live_rows)
        yield (
            f"database {name}: {size(one.bytes)}{change}, {percent(one.hit, one.hit + one.read):.1f} % from "
            f"the cache, {dead:.0f} % dead rows, {_per_hour(one, found.made):.0f} rows written an hour"
        )
        for statement in (one.statements or [])[:STATEMENTS]:
            took = statement.total_ms / max(1, statement.calls)
            text = statement.query if len(statement.query) <= 70 else f"{statement.query[:69]}…"
            spent = f"{statement.total_ms / 1000:.1f} s in {statement.calls} calls, {took:.2f} ms each"
            yield f"  {spent}: {text}"


def _per_hour(one: DatabasePart, now: float) -> float:
    return one.written / max(1.0, now - one.since) * 3600


def _more(found: Diagnosis) -> Iterator[str]:
    if found.updates is not None and found.updates.all is not None:
        yield f"updates: {found.updates.security} of security, {found.updates.all} in all"
    for one in found.machine.certificates if found.machine is not None else ():
        yield f"certificate {one.path}: until {when(one.ends) if one.ends is not None else '?'}"
    if found.versions is not None:
        yield "versions: " + ", ".join(f"{name} {one}" for name, one in found.versions.items())
    for run in (found.ledger or [])[-2:]:
        took = duration(run.ended - run.began)
        yield f"run {run.id}: {run.purpose} by {run.owner}, {run.outcome} in {took}"
