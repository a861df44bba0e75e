"""The clock for everything that takes long: schedules, idle times, cool-downs and drains.

:class:`SystemClock` is the machine's clock. With :class:`ManualClock`, time passes only when a test
advances it, so that a test of a week of schedules takes a moment.
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
    """The current time, and time limits."""

    def now(self) -> datetime:
        """Return the current time as an aware ``datetime`` in UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since a fixed moment. They never decrease."""
        ...

    def limit(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope]:
        """Cancel the block after so many seconds, like :func:`anyio.move_on_after`.

        ``None`` sets no limit.
        """
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds since a fixed moment."""
        return time.monotonic()

    def limit(self, seconds: float | None) -> AbstractContextManager[anyio.CancelScope]:
        """Cancel the block after so many seconds."""
        return anyio.move_on_after(seconds)


class ManualClock:
    """A clock that stands still until :meth:`advance` is called. It belongs to one event loop.

    Args:
        now: the time at which it starts; an aware ``datetime``.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now.astimezone(UTC)
        self._passed = 0.0
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> datetime:
        """Return the current time of this clock, in UTC."""
        return self._now + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Return the seconds that it has been advanced by."""
        return self._passed

    @contextmanager
    def limit(self, seconds: float | None) -> Generator[anyio.CancelScope]:
        """Cancel the block after so many seconds of this clock."""
        with anyio.CancelScope() as scope:
            if seconds is not None and seconds <= 0:
                scope.cancel()
            elif seconds is not None:
                heapq.heappush(
                    self._timers, (self._passed + seconds, next(self._numbers), scope.cancel)
                )
            yield scope

    async def advance(self, seconds: float) -> None:
        """Advance the clock. The limits that pass are applied in order, at their own times.

        Other tasks run after each limit, so that the effects of one limit happen before the next.

        Args:
            seconds: by how much.
        """
        # Tasks that were started just now may not have set their limits yet.
        await _let_others_run()
        end = self._passed + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, cancel = heapq.heappop(self._timers)
            self._passed = max(self._passed, due)
            cancel()
            await _let_others_run()
        self._passed = end
        await _let_others_run()


async def _let_others_run() -> None:
    # When a task wakes another task, the second one runs in the next iteration of the event loop.
    # The chains in this package are shorter than 20.
    for _ in range(20):
        await asyncio.sleep(0)
