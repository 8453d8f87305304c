"""Which release a host is at, all of it or none: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 12
# What may lie on the host of either release: immutable, and of no effect until something points to it.
STOCK = ("releases", "venvs", "links.parts")


@dataclass(frozen=True)
class Verdict:
    """
    What a host was found to be.

    + release: 1 or 2 where all of that release is there and works, else None
    + problems: what keeps it from being whole, for people
    """

    release: int | None
    problems: list[str] = field(default_factory=list)


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of everything in nested tables; an empty table is a value."""
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from flat(one, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def differences(now: Mapping[str, Any], wanted: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """
    Return where a host is not what a release is.

    + now: "release" of host/look.py
    + wanted: the same of the release
    + other: the same of the other release, whose stock may be there too
    """
    seen, want, also = dict(flat(now)), dict(flat(wanted)), dict(flat(other))
    found = []
    for path in sorted({*seen, *want}):
        if seen.get(path) == want.get(path) and (path in seen) == (path in want):
            continue
        if _is_stock(path, seen, want, also):
            continue
        found.append(f"{path} is {_shown(seen, path)} instead of {_shown(want, path)}")
    return found


def _is_stock(path: str, seen: Mapping[str, Any], want: Mapping[str, Any], also: Mapping[str, Any]) -> bool:
    """Return whether a difference is but the other release lying there, whole."""
    if path in STOCK and isinstance(seen.get(path), list):
        return {*want[path]} <= {*seen[path]} <= {*want[path], *also.get(path, ())}
    named = path.startswith(tuple(f"{one}." for one in STOCK))
    return named and path not in want and path in also and also[path] == seen.get(path)


def _shown(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return "missing"
    text = str(values[path])
    return text if len(text) <= 160 else text[:157] + "..."


def judge(now: Mapping[str, Any], one: Mapping[str, Any], two: Mapping[str, Any]) -> Verdict:
    """
    Tell which release a host is at.

    Data does not go back: where release 1 runs, the migration of release 2 may have been applied, with all
    that belongs to it.

    + now, one, two: what host/look.py says of the host, of release 1 and of release 2
    """
    left = [f"left behind: {one_left}" for one_left in now["left"]["files"]]
    if now["left"]["lock"]:
        left.append(f"left behind: the lock of {now['left']['lock']}")
    schemas = {1: [_schema(one), _schema(two)], 2: [_schema(two)]}
    found = {
        1: differences(now["release"], one["release"], two["release"]),
        2: differences(now["release"], two["release"], one["release"]),
    }
    for release, problems in found.items():
        # A quick look knows of the ledger alone.
        if not any(_alike(_schema(now), wanted) for wanted in schemas[release]):
            problems.append(f"the migrations are {_schema(now)}")
        if not problems and not left:
            return Verdict(release)
    nearest = min(found, key=lambda release: len(found[release]))
    if not found[nearest]:
        return Verdict(None, left)
    other = 3 - nearest
    problems = [
        f"{len(found[nearest])} differences from release {nearest} (and {len(found[other])} from {other}): "
        + "; ".join(found[nearest][:SHOWN])
    ]
    return Verdict(None, [*left, *problems])


def _schema(seen: Mapping[str, Any]) -> tuple[Any, Any]:
    rows = seen["data"]["rows"]
    return (rows["ledger"] if isinstance(rows, Mapping) else rows), seen["data"].get("schema")


def _alike(now: tuple[Any, Any], wanted: tuple[Any, Any]) -> bool:
    return bool(now[0] == wanted[0] and (now[1] is None or wanted[1] is None or now[1] == wanted[1]))


def lost(now: Mapping[str, Any], written: list[int], trades: int) -> list[str]:
    """Return what is missing of the rows that were written, and acknowledged, before and during a fault."""
    rows = now["data"]["rows"]
    if not isinstance(rows, Mapping):
        return [f"the data {rows}"]
    missing = sorted({*written} - {*(rows["probe"] or ())})
    found = [f"{len(missing)} of {len(written)} rows are lost, such as {missing[:5]}"] if missing else []
    if rows["trades"] < trades:
        found.append(f"the last trade was {trades} and is {rows['trades']}")
    return found
