"""A comparison for programs, and for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diagnostics.compare import COUNTS, Comparison, Row
from diagnostics.model import Diagnosis
from diagnostics.tables import Columns, rendered
from diagnostics.words import duration, when

FORMAT = 1


def of_all(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return comparisons as JSON has them, by host."""
    hosts = {one.after.host: of_one(one) for one in found}
    worse = any(one["verdict"] == "worse" for one in hosts.values())
    return {"format": FORMAT, "verdict": "worse" if worse else "not worse", "hosts": hosts}


def of_one(found: Comparison) -> dict[str, Any]:
    """Return one host's part of it."""
    return {
        "verdict": found.verdict(),
        "worse": found.subjects(),
        "findings": found.findings(),
        "before": _about(found.before),
        "after": _about(found.after),
        "rows": [_row(row) for row in found.rows],
        "changes": [
            {"what": one.what, "before": one.before, "after": one.after, "worse": one.worse}
            for one in found.changes
        ],
        "new_to_look_at": [one.text for one in found.new_concerns],
        "solved": [one.text for one in found.solved],
    }


def _about(one: Diagnosis) -> dict[str, Any]:
    releases = {name: app.release for name, app in one.apps.items()}
    return {
        "id": one.id, "environment": one.environment, "made": one.made, "purpose": one.purpose,
        "sampled": one.sampled, "releases": releases,
    }  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    return {
        "kind": row.key.kind,
        "subject": row.key.subject,
        "metric": row.key.rule,
        "part": row.key.part,
        "unit": row.rule.unit,
        "before": round(row.before.value, 3),
        "after": round(row.after.value, 3),
        "difference": round(row.after.value - row.before.value, 3),
        "peak_before": max(row.before.samples, default=None),
        "peak_after": max(row.after.samples, default=None),
        "noise": round(row.noise, 3),
        "threshold": row.rule.threshold(),
        "verdict": row.verdict,
        "why": row.why,
    }


def shown(found: Comparison, *, everything: bool = False, terminal: bool | None = None) -> str:
    """
    Return a comparison for a terminal.

    + everything: also what differs by nothing that counts, default False
    + terminal: whether one reads it, default whether it does
    """
    span = duration(found.after.made - found.before.made)
    parts: list[str | Columns] = [
        f"{found.after.host}  {found.after.environment}: {found.verdict()}",
        f"before  {found.before.id}  {when(found.before.made)}  {found.before.purpose}",
        f"after   {found.after.id}  {when(found.after.made)}  {found.after.purpose}, {span} later",
    ]
    parts += [f"! {one}" for one in found.findings()]
    rows = [row for row in found.rows if everything or row.verdict in COUNTS]
    parts += ["", _table(rows)] if rows else []
    parts += _rest(found, everything)
    return rendered([*parts, ""], terminal=terminal)


def _table(rows: Sequence[Row]) -> Columns:
    table = Columns(["of", "metric", ">before", ">after", ">difference", ">noise", "verdict"])
    for row in rows:
        shown = row.rule.shown
        difference = row.after.value - row.before.value
        table.add(
            row.key.subject or row.key.kind,
            row.label if len(row.label) <= 60 else f"{row.label[:59]}…",
            shown(row.before.value),
            shown(row.after.value),
            f"{'+' if difference > 0 else ''}{shown(difference)}",
            f"±{shown(row.noise)}" if row.noise else "-",
            row.verdict,
            colour={"worse": "red", "better": "green", "changed": "yellow"}.get(row.verdict),
        )
    return table


def _rest(found: Comparison, everything: bool) -> Iterator[str]:
    if not everything:
        left = {word: len(found.of(word)) for word in ("within noise", "small", "same", "not judged")}
        yield "besides: " + ", ".join(f"{count} {word}" for word, count in left.items())
    for one in found.changes:
        yield f"{'!' if one.worse else '-'} {one.told()}"
    for concern in found.solved:
        yield f"solved: {concern.text}"
