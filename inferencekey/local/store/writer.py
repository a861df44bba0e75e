"""Writes to the store: in a thread, one at a time, and each to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from inferencekey.local.background import Background

__all__ = ["Writer"]

T = TypeVar("T")


class Writer:
    """Runs writes to the store in a thread.

    A caller that disconnects cancels its own task. The write, and the step that must follow it, run
    in a background task instead, so that both are always finished.

    Args:
        tasks: the background tasks of the platform.
    """

    def __init__(self, tasks: Background) -> None:
        self._tasks = tasks
        self._limiter = anyio.CapacityLimiter(1)

    async def __call__(self, change: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        """Run *change* in a thread, then *then* in the event loop.

        Returns:
            What *change* returned. An exception of *change* or *then* is raised here.
        """
        job: _Job[T] = _Job(change, then)
        self._tasks.start(job.run, self._limiter)
        await job.done.wait()
        return job.result()


class _Job(Generic[T]):
    """One write, and its result for the caller that waits for it."""

    def __init__(self, change: Callable[[], T], then: Callable[[T], None] | None) -> None:
        self._change = change
        self._then = then
        self._results: list[T] = []
        self._error: Exception | None = None
        self.done = anyio.Event()

    async def run(self, limiter: anyio.CapacityLimiter) -> None:
        try:
            result = await anyio.to_thread.run_sync(self._change, limiter=limiter)
            self._results.append(result)
            if self._then is not None:
                self._then(result)
        except Exception as error:
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._results:
            raise RuntimeError("the platform is stopping")
        return self._results[0]
