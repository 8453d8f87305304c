"""Numbers for people."""

from __future__ import annotations

import time
from collections.abc import Sequence

MIB = 1 << 20


def size(count: float) -> str:
    """Return bytes as people read them; a difference keeps its sign."""
    for unit, step in (("GiB", 1 << 30), ("MiB", MIB), ("KiB", 1 << 10)):
        if abs(count) >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Return a time span in its largest two units."""
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 and whole else ""
    for step, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= step:
            rest = whole % step // below
            return f"{sign}{whole // step} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{sign}{whole} s"


def when(seconds: float) -> str:
    """Return a moment in UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def mean(samples: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return sum(samples) / len(samples) if samples else 0.0


def percent(part: float, whole: float) -> float:
    """Return a part in per cent; 0 of nothing."""
    return 100.0 * part / whole if whole else 0.0
