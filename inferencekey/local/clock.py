"""Time, where it is long: schedules, idle engines, cool-downs, drains.

The platform is given a clock. :class:`SystemClock` is the machine's; :class:`ManualClock` stands still until somebody moves
it on, so that a week of schedules passes in a moment.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """What time it is, and how long something may take."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; they never go back."""
        ...

    def limit(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope]:
        """Give the block at most so many seconds (``None``: any number), like :func:`anyio.move_on_after`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def limit(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope]:
        """Give the block at most so many seconds."""
        return anyio.move_on_after(seconds)


class ManualClock:
    """A clock that is moved by hand, in the event loop that uses it.

    Args:
        now: where it begins; aware.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._passed = 0.0
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._now + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Return the seconds that it was moved by so far."""
        return self._passed

    @contextmanager
    def limit(self, seconds: float | None) -> Generator[anyio.CancelScope]:
        """Give the block at most so many of this clock's seconds."""
        with anyio.CancelScope() as scope:
            if seconds is not None and seconds <= 0:
                scope.cancel()
            elif seconds is not None:
                heapq.heappush(
                    self._timers, (self._passed + seconds, next(self._numbers), scope.cancel)
                )
            yield scope

    async def advance(self, seconds: float) -> None:
        """Move on, and let everybody who waited for it, and those who wait for them in turn, have their turn.

        Args:
            seconds: how far; timers on the way go off in their order.
        """
        await _let_others_run()  # what they wait for may not be set up yet
        end = self._passed + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, ring = heapq.heappop(self._timers)
            self._passed = max(self._passed, due)
            ring()
            await _let_others_run()
        self._passed = end
        await _let_others_run()


async def _let_others_run() -> None:
    # A chain of wake-ups takes a turn of the loop for each link; those of this package are a handful of links long.
    for _ in range(20):
        await asyncio.sleep(0)
