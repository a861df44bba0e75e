"""Medians and quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A median between its quartiles."""

    low: float
    median: float
    high: float

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(self.low * factor, self.median * factor, self.high * factor)

    def __str__(self) -> str:
        return (
            f"{format_figure(self.median)} ({format_figure(self.low)}–{format_figure(self.high)})"
        )


def spread(values: Iterable[float]) -> Spread | None:
    """Return the median and the quartiles; ``None`` if there are no values."""
    known = sorted(values)
    if not known:
        return None
    if len(known) == 1:
        return Spread(known[0], known[0], known[0])
    low, median, high = statistics.quantiles(known, n=4, method="inclusive")
    return Spread(low, median, high)


def format_figure(value: float) -> str:
    """Return a number with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
