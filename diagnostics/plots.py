"""Small plots: the samples of one metric, before and after, on one scale. Numbers alone go into them."""

from __future__ import annotations

from dataclasses import dataclass

from diagnostics.rules import Measure

WIDTH, LEFT = 132.0, 4.0


@dataclass(frozen=True)
class Line:
    """One line of a plot: where its samples are, and their mean."""

    name: str
    samples: list[float]
    mean: float


@dataclass(frozen=True)
class Plot:
    """Both lines, the scale's end in words, and what is read to those who do not see it."""

    lines: tuple[Line, Line]
    end: str
    said: str


def plot(before: Measure, after: Measure, end: str, said: str, largest: float) -> Plot:
    """
    Return where everything is on a plot.

    + end: the largest value that it shows, in words
    + said: the plot in words
    + largest: the scale's end; what is larger is not drawn beyond it
    """

    def line(name: str, one: Measure) -> Line:
        return Line(name, [at(value) for value in one.samples], at(one.value))

    def at(value: float) -> float:
        return round(LEFT + (WIDTH - 2 * LEFT) * min(1.0, value / largest), 1) if largest > 0 else LEFT

    return Plot((line("before", before), line("after", after)), end, said)
