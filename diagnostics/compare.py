"""What has changed on a host between two diagnoses: each number with its verdict, and what came and went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from diagnostics import measures
from diagnostics.concerns import Concern, concerns
from diagnostics.measures import Key
from diagnostics.model import Diagnosis
from diagnostics.parts import AppPart
from diagnostics.rules import RULES, Measure, Rule, Verdict, verdict

COUNTS = ("worse", "better", "changed")


@dataclass(frozen=True)
class Row:
    """One metric, before and after, and what the difference comes to."""

    key: Key
    before: Measure
    after: Measure
    verdict: Verdict
    noise: float

    @property
    def rule(self) -> Rule:
        """The metric's threshold and unit."""
        return RULES[self.key.rule]

    @property
    def label(self) -> str:
        """The metric for people."""
        return f"{self.rule.label} ({self.key.part})" if self.key.part else self.rule.label

    @property
    def why(self) -> str:
        """Why it is not judged, "" where it is."""
        return self.before.judged or self.after.judged

    def told(self) -> str:
        """Return the difference in words."""
        subject = f"{self.key.subject}: " if self.key.subject else ""
        before, after = (self.rule.shown(one.value) for one in (self.before, self.after))
        return f"{subject}{self.label} {before} → {after}"


@dataclass(frozen=True)
class Change:
    """Something that is no number: what it is about, what it was and is; None where it was not there."""

    what: str
    before: str | None
    after: str | None
    worse: bool = False

    def told(self) -> str:
        """Return it in words."""
        if self.before is None:
            return f"{self.what}: {self.after} is new"
        if self.after is None:
            return f"{self.what}: {self.before} is gone"
        return f"{self.what}: {self.before} → {self.after}"


@dataclass
class Comparison:
    """
    Two diagnoses of a host.

    + rows: every number that both have
    + changes: what came, went, or is another one
    + new_concerns, solved: of what somebody should look at
    """

    before: Diagnosis
    after: Diagnosis
    rows: list[Row] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    new_concerns: list[Concern] = field(default_factory=list)
    solved: list[Concern] = field(default_factory=list)

    def of(self, *verdicts: str) -> list[Row]:
        """Return the rows that came to this."""
        return [row for row in self.rows if row.verdict in verdicts]

    def findings(self) -> list[str]:
        """Return in words what is worse; empty where nothing is."""
        said = [row.told() for row in self.of("worse")]
        said += [one.told() for one in self.changes if one.worse]
        return said + [one.text for one in self.new_concerns if not one.key.startswith(("state ", "errors "))]

    def verdict(self) -> str:
        """Return in a word or two what it all comes to."""
        if self.findings():
            return "worse"
        return "better" if self.of("better") or self.solved else "no difference that counts"

    def subjects(self) -> list[str]:
        """Return the services and units that are worse, each once."""
        said = [row.key.subject for row in self.of("worse") if row.key.subject]
        return list(dict.fromkeys([*said, *(one.what for one in self.changes if one.worse)]))


def compare(before: Diagnosis, after: Diagnosis) -> Comparison:
    """Compare two diagnoses of one host."""
    found = Comparison(before, after)
    for part in (measures.services, measures.apps, measures.units, measures.machine, measures.server):
        then, now = dict(part(before)), dict(part(after))
        found.rows += [_row(key, then[key], measure) for key, measure in now.items() if key in then]
    found.rows += [_row(*one) for one in measures.between(before, after)]
    found.changes = list(_changes(before, after))
    was, now_ = ({one.key: one for one in concerns(half)} for half in (before, after))
    found.new_concerns = [one for key, one in now_.items() if key not in was]
    found.solved = [one for key, one in was.items() if key not in now_]
    return found


def _row(key: Key, before: Measure, after: Measure) -> Row:
    said, chance = verdict(RULES[key.rule], before, after)
    if key.rule == "restarts" and said == "better":
        said = "same"  # counted anew: its manager was started again
    return Row(key, before, after, said, chance)


def _changes(before: Diagnosis, after: Diagnosis) -> Iterator[Change]:
    for name in dict.fromkeys([*before.apps, *after.apps]):
        was, now = before.apps.get(name), after.apps.get(name)
        old = {label: one.state for label, one in was.services.items()} if was is not None else {}
        new = {label: one.state for label, one in now.services.items()} if now is not None else {}
        yield from _pairs("release of " + name, _release(was), _release(now))
        for label in dict.fromkeys([*old, *new]):
            if old.get(label) != new.get(label):
                lost = old.get(label) == "RUNNING" or (label not in old and new.get(label) != "RUNNING")
                worse = label in new and new[label] != "RUNNING" and lost
                yield Change(f"{name}/{label}", old.get(label), new.get(label), worse)
    yield from _pairs("unit", *({name: name for name in one.others} for one in (before, after)))
    yield from _processes(before, after)
    yield from _pairs("version", before.versions or {}, after.versions or {})
    tables = (
        {
            f"{name}.{table}": f"{name}.{table}"
            for name, one in half.database.databases.items()
            for table in one.tables
        }
        if half.database is not None
        else {}
        for half in (before, after)
    )
    yield from _pairs("table", *tables)


def _release(app: AppPart | None) -> dict[str, str]:
    return {"": app.release} if app is not None and app.release else {}


def _pairs(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            label = what if key in ("", before.get(key), after.get(key)) else f"{what} of {key}"
            yield Change(label, before.get(key), after.get(key))


def _processes(before: Diagnosis, after: Diagnosis) -> Iterator[Change]:
    """Give names of processes that came to a service, or went from it."""
    for app in before.apps.keys() & after.apps.keys():
        for label in before.apps[app].services.keys() & after.apps[app].services.keys():
            names = []
            for half in (before, after):
                group = half.apps[app].services[label].group
                names.append({one.name: one.name for one in group.processes} if group is not None else {})
            if all(names):
                yield from _pairs(f"process of {app}/{label}", *names)
