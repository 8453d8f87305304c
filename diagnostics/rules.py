"""When a difference counts: a threshold for each metric, and how much of it is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Literal

from diagnostics.words import size

Verdict = Literal["worse", "better", "changed", "within noise", "small", "same", "not judged"]
# Standard errors of the difference of two means. With few samples they are known less well.
ERRORS, ERRORS_OF_FEW, FEW, FEWEST = 3.0, 4.0, 6, 3
MIB = 1 << 20


@dataclass(frozen=True)
class Rule:
    """
    One metric.

    + label: for people
    + unit: "%" (of one core, or of all there is), "B", "B/s", "ms", "s", "/s", or "" for a number
    + least: a smaller difference does not count
    + ratio: nor does one by less than this factor, default 1: any
    + digits: after the point, default what fits the unit
    + bad: 1 where more is worse, -1 where less is, 0 where neither is said to be
    """

    label: str
    unit: str
    least: float
    ratio: float = 1.0
    bad: int = 1
    digits: int | None = None

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        if self.unit in ("B", "B/s"):
            return size(value) + self.unit[1:]
        digits = self.digits if self.digits is not None else {"": 0, "ms": 2}.get(self.unit, 1)
        # Adding 0 makes a zero of one that was rounded from below.
        return (
            f"{round(value, digits) + 0.0:.{digits}f}{' ' if self.unit not in ('', '/s') else ''}{self.unit}"
        )

    def threshold(self) -> str:
        """Return in words when a difference counts."""
        by = f" and by a factor of {self.ratio:g}" if self.ratio > 1 else ""
        return f"{self.shown(self.least)} or more{by}"


RULES = {
    "cpu": Rule("CPU", "%", 10, 1.5),
    "memory": Rule("memory", "B", 32 * MIB, 1.25),
    "log": Rule("log", "B/s", 50, 3),
    "errors": Rule("error lines", "", 1),
    "restarts": Rule("restarts by itself", "", 1),
    "processes": Rule("processes", "", 5, 1.5, bad=0),
    "busy": Rule("processors busy", "%", 15, 1.25),
    "load": Rule("load of a minute, a core", "", 1, 1.5, digits=2),
    "memory_used": Rule("memory in use", "%", 10),
    "swap_used": Rule("swap in use", "B", 64 * MIB, 1.25),
    "pressure": Rule("waited", "%", 15, 1.5),
    "disk_used": Rule("disk in use", "%", 5),
    "failed_units": Rule("failed units", "", 1),
    "logs": Rule("log files", "B", 100 * MIB, 1.5),
    "data": Rule("data", "B", 100 * MIB, 1.5, bad=0),
    "database": Rule("size", "B", 50 * MIB, 1.2, bad=0),
    "connections": Rule("connections", "", 10, 1.5),
    "waiting": Rule("clients that wait for a lock", "", 3),
    "transaction": Rule("oldest transaction", "s", 60, 2),
    "cache": Rule("pages from the cache", "%", 5, bad=-1),
    "dead": Rule("dead rows", "%", 25),
    "written": Rule("rows written", "/s", 20, 2, bad=0),
    "rolled_back": Rule("transactions rolled back", "%", 5, 2),
    "deadlocks": Rule("deadlocks", "", 1),
    "statement": Rule("time of a call", "ms", 5, 2),
}


@dataclass(frozen=True)
class Measure:
    """
    One metric at one moment.

    + value: the mean of the samples, or what was read
    + samples: empty where it was read once
    + judged: why it is not, "" where it is
    """

    value: float
    samples: tuple[float, ...] = ()
    judged: str = ""


def sampled(samples: Sequence[float]) -> Measure:
    """Return a metric that was sampled; one with too few samples is shown and not judged."""
    values = tuple(float(one) for one in samples)
    why = "" if len(values) >= FEWEST else "too few samples: it had just started"
    return Measure(fmean(values) if values else 0.0, values, why)


def noise(before: Sequence[float], after: Sequence[float]) -> float:
    """
    Return how large a difference of two means may be by chance: some standard errors of it.

    0 where one of them was not sampled.
    """
    if min(len(before), len(after)) < 2:
        return 0.0
    error = math.sqrt(variance(before) / len(before) + variance(after) / len(after))
    return (ERRORS if min(len(before), len(after)) >= FEW else ERRORS_OF_FEW) * error


def verdict(rule: Rule, before: Measure, after: Measure) -> tuple[Verdict, float]:
    """Return what a difference comes to, and the noise that it was held against."""
    difference, chance = after.value - before.value, noise(before.samples, after.samples)
    if before.judged or after.judged:
        return "not judged", chance
    if difference == 0:
        return "same", chance
    if abs(difference) <= chance:
        return "within noise", chance
    low, high = sorted((before.value, after.value))
    # A factor says nothing beside a zero.
    if abs(difference) < rule.least or (low > 0 and high / low < rule.ratio):
        return "small", chance
    if rule.bad == 0:
        return "changed", chance
    return ("worse" if difference * rule.bad > 0 else "better"), chance
