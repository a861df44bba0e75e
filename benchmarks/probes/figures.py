"""The figures of probes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.stats import Spread, spread

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """What a probe needs.

    Args:
        url: the URL of the benchmarks' server.
        python: the interpreter of each environment.
        rounds: how many times each figure is measured.
        progress: shows a line of progress.
    """

    url: str
    python: dict[str, str]
    rounds: int
    progress: Progress


@dataclass(frozen=True)
class Figure:
    """One line of a probe's report.

    Args:
        what: what was measured.
        subject: the client or server that was measured.
        unit: the unit of the value.
        value: median and quartiles.
        ratio: median and quartiles of the ratios to a floor, if there is one.
        than: the name of that floor.
        goal: the bound of the ratio, or of the value if there is no ratio.
        absolute: whether the goal is for the value although there is a ratio.
    """

    what: str
    subject: str
    unit: str
    value: Spread
    ratio: Spread | None = None
    than: str = ""
    goal: float | None = None
    absolute: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the median is within the goal; ``None`` without a goal."""
        return None if self.goal is None else self._judged.median <= self.goal

    @property
    def _judged(self) -> Spread:
        return self.value if self.ratio is None or self.absolute else self.ratio

    def __str__(self) -> str:
        shown = f"  {self.what:<50} {self.subject:<22} {self.value!s:>24} {self.unit:<4}"
        if self.ratio is not None:
            shown += f" {self.ratio} × {self.than}"
        if self.goal is not None:
            shown += f"   {'met' if self.met else 'MISSED'}: at most {self.goal:g}"
        return shown


def make_figure(
    what: str,
    subject: str,
    unit: str,
    values: Iterable[float],
    floor: Iterable[float] | None = None,
    *,
    than: str = "",
    goal: float | None = None,
    absolute: bool = False,
) -> Figure:
    """Return a figure of these values, with the ratios to a floor's values of the same rounds."""
    values = list(values)
    found = spread(values)
    assert found is not None
    ratio = (
        None
        if floor is None
        else spread(mine / theirs for mine, theirs in zip(values, floor, strict=True))
    )
    return Figure(what, subject, unit, found, ratio, than, goal, absolute)
