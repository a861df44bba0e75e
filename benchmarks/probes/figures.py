"""A figure that a probe found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.stats import Spread, spread

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """What a probe works with.

    Args:
        url: the pre-rendered server's.
        python: the interpreter of each environment.
        rounds: how many times each thing is measured.
        say: shows progress.
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
        who: on whom.
        unit: of the value.
        value: its median and quartiles.
        ratio: the same of its quotient with a floor, measurement by measurement, where there is one.
        than: what that floor is.
        goal: the most that the ratio, or without one the value, should be.
        absolute: the goal is the value's, although there is a ratio to be seen.
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
        """Whether the median is within the goal; ``None`` without one."""
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
    """Return a figure from measurements, and its ratio to a floor's of the same rounds."""
    values = list(values)
    found = spread(values)
    assert found is not None
    ratio = (
        None
        if floor is None
        else spread(mine / theirs for mine, theirs in zip(values, floor, strict=True))
    )
    return Figure(what, subject, unit, found, ratio, than, goal, absolute)
