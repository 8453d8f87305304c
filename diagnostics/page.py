"""The report: one page that needs nothing else, for a phone, a desk and paper."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from diagnostics.compare import COUNTS, Comparison, Row
from diagnostics.concerns import concerns
from diagnostics.model import Diagnosis
from diagnostics.parts import Group, Service
from diagnostics.plots import Plot, plot
from diagnostics.rules import ERRORS, ERRORS_OF_FEW, FEW
from diagnostics.words import duration, mean, size, when

# What is drawn of a service, in this order.
PLOTTED = ("cpu", "memory", "log")
KINDS = {
    "app": "Apps", "database": "Database", "unit": "Beside the services", "machine": "Machine",
    "statement": "Statements",
}  # fmt: skip


@cache
def _template() -> Template:
    # Names of processes and services are the host's: every value is escaped.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"when": when, "duration": duration, "breakable": breakable}
    return environment.get_template("page.html.j2")


def breakable(name: str) -> Markup:
    """Return a name, escaped, that a narrow column may break where people would."""
    return Markup(re.sub(r"([_/.])", r"\1<wbr>", str(escape(name))))  # noqa: S704  # it was escaped before


def page(found: Sequence[Comparison]) -> str:
    """Return the report of comparisons, one a host, as HTML."""
    return _template().render(
        hosts=[_host(one) for one in found],
        made=when(time.time()),
        errors=f"{ERRORS:g}",
        errors_of_few=f"{ERRORS_OF_FEW:g}",
        few=FEW,
    )


def _host(found: Comparison) -> dict[str, Any]:
    services = _services(found)
    rows = {kind: [_row(row) for row in found.rows if row.key.kind == kind] for kind in KINDS}
    return {
        "name": found.after.host,
        "environment": found.after.environment,
        "verdict": found.verdict(),
        "findings": found.findings(),
        "better": [row.told() for row in found.of("better")]
        + [f"solved: {one.text}" for one in found.solved],
        "changed": [row.told() for row in found.of("changed")],
        "halves": [_half("before", found.before), _half("after", found.after)],
        "later": found.after.made - found.before.made,
        "services": services,
        "numbers": _kind("Services", [row for one in services for row in one["rows"]]),
        "kinds": [_kind(label, rows[kind]) for kind, label in KINDS.items() if rows[kind]],
        "came": [one.told() for one in found.changes if one.before is None],
        "went": [one.told() for one in found.changes if one.after is None],
        "other": [one.told() for one in found.changes if None not in (one.before, one.after)],
        "look": [one.text for one in concerns(found.after)],
        "counts": {
            word: len(found.of(word))
            for word in ("worse", "better", "changed", "within noise", "small", "same")
        },
    }


def _kind(label: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    counting = sum(row["verdict"] in COUNTS for row in rows)
    return {"label": label, "rows": rows, "counting": counting}


def _half(word: str, one: Diagnosis) -> dict[str, Any]:
    releases = ", ".join(f"{name} {app.release or 'none'}" for name, app in one.apps.items())
    return {"word": word, "id": one.id, "made": one.made, "purpose": one.purpose, "releases": releases,
            "sampled": one.sampled}  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    difference = row.after.value - row.before.value
    shown = row.rule.shown
    return {
        "subject": row.key.subject,
        "label": row.label,
        "before": shown(row.before.value),
        "after": shown(row.after.value),
        "difference": f"{'+' if difference > 0 else ''}{shown(difference)}" if difference else "0",
        "noise": f"± {shown(row.noise)}" if row.noise else "",
        "threshold": row.rule.threshold(),
        "verdict": row.verdict,
        "why": row.why,
    }


def _services(found: Comparison) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Row]] = {}
    for row in found.rows:
        if row.key.kind == "service":
            rows.setdefault(row.key.subject, {})[row.key.rule] = row
    scales = {
        rule: max((_largest(one[rule]) for one in rows.values() if rule in one), default=0.0)
        for rule in PLOTTED
    }
    before, after = _by_name(found.before), _by_name(found.after)
    made = []
    for name in dict.fromkeys([*before, *after]):
        mine = rows.get(name, {})
        counts = [row.verdict for row in mine.values()]
        halves = [("before", before.get(name)), ("after", after.get(name))]
        said = next((word for word in ("worse", "better", "changed") if word in counts), "")
        if before.get(name) is None:
            said = "new"
        if after.get(name) is None:
            said = "gone"
        elif after[name].state != "RUNNING":
            said = "worse"
        made.append({
            "name": name,
            "verdict": said,
            "halves": [(word, one.state, one.pid, one.uptime, one.restarts, one.user)
                       for word, one in halves if one is not None],
            "metrics": [(_row(mine[one]), _plot(mine[one], scales[one])) for one in PLOTTED if one in mine],
            "rest": _rest(mine),
            "rows": [_row(row) for row in mine.values()],
            "processes": [(word, _processes(one.group)) for word, one in halves if one is not None],
        })  # fmt: skip
    return sorted(made, key=lambda one: one["verdict"] not in ("worse", "new", "gone"))


def _rest(mine: dict[str, Row]) -> list[str]:
    """Return in words what is not drawn: the peak, and what is another number now."""
    said = []
    if "cpu" in mine:
        row = mine["cpu"]
        peaks = (row.rule.shown(max(one.samples, default=0.0)) for one in (row.before, row.after))
        said.append("peak CPU " + " → ".join(peaks))
    for rule in ("errors", "restarts", "processes"):
        if rule in mine and mine[rule].before.value != mine[rule].after.value:
            row = mine[rule]
            said.append(f"{row.label} {row.rule.shown(row.before.value)} → {row.rule.shown(row.after.value)}")
    return said


def _by_name(one: Diagnosis) -> dict[str, Service]:
    return {
        f"{app}/{label}": service
        for app, about in one.apps.items()
        for label, service in about.services.items()
    }


def _processes(group: Group | None) -> list[tuple[str, int, str, int, str, str]]:
    return [
        (row.name, row.pid, row.user, row.threads, f"{row.cpu:.1f} %", size(row.memory))
        for row in (group.processes if group is not None else ())
    ]


def _largest(row: Row) -> float:
    return max([*row.before.samples, *row.after.samples, row.before.value, row.after.value])


def _plot(row: Row, largest: float) -> Plot:
    shown = row.rule.shown
    said = f"{row.label} of {row.key.subject}: mean {shown(mean(row.before.samples))} before, "
    said += f"{shown(mean(row.after.samples))} after"
    return plot(row.before, row.after, shown(largest), said, largest)
