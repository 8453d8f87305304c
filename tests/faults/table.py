"""Which cells the matrix has, and the table of what they came to: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.faults.cell import Outcome
from tests.faults.controller import Operation

KINDS = {
    "kill": "controller killed",
    "cut": "network cut",
    "power": "power cut",
    "fail": "step fails",
}
Cell = tuple[str, int]


def boundaries(operations: Sequence[Operation]) -> dict[int, int]:
    """
    Return each boundary with the one whose host state it shares: itself after an operation that changes.

    + operations: of the clean run, in order

    Those before the first change share the last of them, where the host is locked but not on trial yet.
    """
    first = next((one.index for one in operations if one.changes), None)
    if first is None:
        raise ValueError("the clean run has changed nothing; there is nothing to break")
    shared: dict[int, int] = {}
    latest = max(first - 1, 1)
    for one in operations:
        if one.changes:
            latest = one.index
        shared[one.index] = latest
    return shared


def cells(operations: Sequence[Operation]) -> list[Cell]:
    """Return all cells that are run, boundary by boundary."""
    return [(kind, index) for index in sorted({*boundaries(operations).values()}) for kind in KINDS]


def line(outcome: Outcome) -> str:
    """Return one cell in one line, for whoever watches."""
    label = f"{outcome.kind}:{outcome.index}"
    state = _state(outcome)
    notes = f"  ({'; '.join(outcome.notes)})" if outcome.notes else ""
    return f"{label:<10} {state:<20} after {outcome.after}{notes}"


def _state(outcome: Outcome) -> str:
    if outcome.problems:
        return "BAD" if outcome.release is None else f"BAD, release {outcome.release}"
    return f"release {outcome.release}, {outcome.seconds:.0f} s"


def document(
    operations: Sequence[Operation], outcomes: Mapping[Cell, Outcome], made: str, preface: str
) -> str:
    """
    Return docs/faults.md.

    + operations: of the clean run
    + outcomes: by cell; one that was not run is shown as such
    + made: how and when, one sentence
    + preface: what is shown, a few sentences
    """
    shared = boundaries(operations)
    rows = ["| | After the operation | " + " | ".join(KINDS.values()) + " |", "|---" * (len(KINDS) + 2) + "|"]
    for one in operations:
        same = shared[one.index]
        if same == one.index:
            found = [_cell(outcomes.get((kind, one.index))) for kind in KINDS]
        else:
            found = [f"same state as {same}"] + [""] * (len(KINDS) - 1)
        rows.append(f"| {one.index} | {one.name.replace(' | ', ': ')} | " + " | ".join(found) + " |")
    bad = [outcome for outcome in outcomes.values() if outcome.problems]
    parts = [
        "# Fault matrix",
        preface,
        "\n".join(rows),
        _summary(outcomes.values(), len(cells(operations))),
        made,
    ]
    if bad:
        parts += ["## Bad cells", "\n".join(_bad(one) for one in bad)]
    return "\n\n".join(parts) + "\n"


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    return f"**{_state(outcome)}**" if outcome.problems else _state(outcome)


def _bad(outcome: Outcome) -> str:
    return f"- {outcome.kind}:{outcome.index}, after {outcome.after}: " + "; ".join(outcome.problems)[:600]


def _summary(outcomes: Iterable[Outcome], planned: int) -> str:
    all_of = list(outcomes)
    good = [one for one in all_of if not one.problems]
    told = f"{len(all_of)} of {planned} cells were run, {len(good)} of them are good."
    for kind, title in KINDS.items():
        seconds = sorted(one.seconds for one in good if one.kind == kind)
        if seconds:
            middle, longest = seconds[len(seconds) // 2], seconds[-1]
            told += f" {title.capitalize()}: {middle:.0f} s at the median, {longest:.0f} s at most."
    return told
