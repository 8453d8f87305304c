"""Everything of two diagnoses of a host that is a number, by what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from diagnostics.model import Diagnosis
from diagnostics.parts import DatabasePart, Group
from diagnostics.rules import Measure, sampled
from diagnostics.words import percent

# Through these we are there ourselves.
OURS = {"ssh.service", "sshd.service", "ssh.socket", "logins", "init.scope"}
CALLS = 20
# What is counted says little of a shorter time.
MINUTE, SHORT = 60.0, "less than a minute is between them"


class Key(NamedTuple):
    """
    What a number is about.

    + kind: "service", "unit", "app", "machine" or "database", "statement"
    + subject: its name, such as "rec_io/main_app"
    + rule: of `rules.RULES`
    + part: what tells two of one rule apart, such as a disk's place
    """

    kind: str
    subject: str
    rule: str
    part: str = ""


Found = Iterator[tuple[Key, Measure]]


def services(one: Diagnosis) -> Found:
    """Give what each service uses and says."""
    for app, about in one.apps.items():
        for label, service in about.services.items():
            name = f"{app}/{label}"
            if service.group is not None:
                yield from _group("service", name, service.group)
            if service.log.seconds > 0:
                yield Key("service", name, "log"), sampled(service.log.rate)
                yield Key("service", name, "errors"), Measure(service.log.errors)
            if service.restarts is not None:
                yield Key("service", name, "restarts"), Measure(service.restarts)


def _group(kind: str, name: str, group: Group, judged: str = "") -> Found:
    for rule, samples in (("cpu", group.cpu), ("memory", group.memory)):
        found = sampled(samples)
        yield Key(kind, name, rule), Measure(found.value, found.samples, judged or found.judged)
    yield Key(kind, name, "processes"), Measure(group.count, judged=judged)


def units(one: Diagnosis) -> Found:
    """Give what everything beside the services uses."""
    for name, group in one.others.items():
        yield from _group("unit", name, group, "we are there through it ourselves" if name in OURS else "")


def machine(one: Diagnosis) -> Found:
    """Give the numbers of the machine; those of another one, that a container is on, are not judged."""
    about = one.machine
    if about is None:
        return
    shared = f"it is of the machine that this {about.container} is on" if about.container else ""
    busy = sampled(one.busy)
    yield Key("machine", "", "busy"), Measure(busy.value, busy.samples, shared or busy.judged)
    yield Key("machine", "", "load"), Measure(about.load[0] / max(1, about.cpus), judged=shared)
    used = percent(about.memory.total - about.memory.available, about.memory.total)
    yield Key("machine", "", "memory_used"), Measure(used, judged=shared)
    yield Key("machine", "", "swap_used"), Measure(about.swap.used, judged=shared)
    for what, waited in (about.pressure or {}).items():
        label = what.replace("_", ", ")
        yield Key("machine", "", "pressure", label), Measure(waited[0], judged=shared)
    for disk in about.filesystems:
        full = percent(disk.used, disk.used + disk.free)
        yield Key("machine", "", "disk_used", disk.place), Measure(full)
    yield Key("machine", "", "failed_units"), Measure(len(about.failed_units))


def apps(one: Diagnosis) -> Found:
    """Give what each app keeps."""
    for name, about in one.apps.items():
        if about.logs is not None:
            yield Key("app", name, "logs"), Measure(about.logs.bytes)
        if about.data is not None:
            yield Key("app", name, "data"), Measure(about.data.bytes)


def server(one: Diagnosis) -> Found:
    """Give the numbers of the database server that are of a moment."""
    about = one.database
    if about is None:
        return
    yield Key("database", about.cluster, "connections"), Measure(about.used)
    yield Key("database", about.cluster, "waiting"), Measure(about.waiting)
    yield Key("database", about.cluster, "transaction"), Measure(about.oldest_transaction)
    for name, database in about.databases.items():
        yield Key("database", name, "database"), Measure(database.bytes)
        dead = percent(database.dead_rows, database.dead_rows + database.live_rows)
        # Of a small table, autovacuum lets half be dead for a minute.
        few = "there are few rows" if database.dead_rows + database.live_rows < 100_000 else ""
        yield Key("database", name, "dead"), Measure(dead, judged=few)


def between(before: Diagnosis, after: Diagnosis) -> Iterator[tuple[Key, Measure, Measure]]:
    """Give what the database's counters say: until the first diagnosis, and between the two."""
    if before.database is None or after.database is None:
        return
    for name, new in after.database.databases.items():
        old = before.database.databases.get(name)
        if old is None or old.since != new.since:
            continue
        seconds = after.made - before.made
        earlier = max(1.0, before.made - old.since)
        for rule, was, now in _counted(old, new, earlier, seconds):
            yield Key("database", name, rule), was, now
        yield from _statements(name, old, new, seconds)


def _counted(
    old: DatabasePart, new: DatabasePart, earlier: float, seconds: float
) -> Iterator[tuple[str, Measure, Measure]]:
    few = SHORT if min(seconds, earlier) < MINUTE else ""
    written = (old.written / earlier, (new.written - old.written) / max(1.0, seconds))
    yield "written", Measure(written[0], judged=few), Measure(written[1], judged=few)
    for rule, part, rest in (("cache", "hit", "read"), ("rolled_back", "rollbacks", "commits")):
        was, more = getattr(old, part), getattr(new, part) - getattr(old, part)
        whole = getattr(new, part) + getattr(new, rest) - was - getattr(old, rest)
        why = few or ("next to nothing was asked" if whole < 1000 else "")
        now = percent(more, whole) if whole else 0.0
        yield rule, Measure(percent(was, was + getattr(old, rest)), judged=why), Measure(now, judged=why)
    yield "deadlocks", Measure(0), Measure(max(0, new.deadlocks - old.deadlocks))


def _statements(
    database: str, old: DatabasePart, new: DatabasePart, seconds: float
) -> Iterator[tuple[Key, Measure, Measure]]:
    known = {(one.role, one.query): one for one in old.statements or ()}
    for one in new.statements or ():
        was = known.get((one.role, one.query))
        if was is None or was.calls == 0 or one.calls <= was.calls:
            continue
        calls = one.calls - was.calls
        why = (
            SHORT if seconds < MINUTE else "it was called too seldom" if min(calls, was.calls) < CALLS else ""
        )
        first = Measure(was.total_ms / was.calls, judged=why)
        then = Measure(max(0.0, one.total_ms - was.total_ms) / calls, judged=why)
        yield Key("statement", database, "statement", one.query), first, then
