"""Changes that last: off the event loop, one at a time, each to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from inferencekey.local.background import Background

__all__ = ["Writer"]

T = TypeVar("T")


class Writer:
    """Runs the store's writes in a thread.

    A caller that leaves half-way must not leave half a change: the write is a task of the platform's, and so is what has
    to follow it.

    Args:
        tasks: the platform's own.
    """

    def __init__(self, tasks: Background) -> None:
        self._tasks = tasks
        self._one = anyio.CapacityLimiter(1)

    async def __call__(self, change: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        """Run *change* in a thread, then *then* in the loop, and return what *change* returned.

        Whatever *change* raises is raised here.
        """
        job: _Job[T] = _Job(change, then)
        self._tasks.start(job.run, self._one)
        await job.done.wait()
        return job.result()


class _Job(Generic[T]):
    def __init__(self, change: Callable[[], T], then: Callable[[T], None] | None) -> None:
        self._change = change
        self._then = then
        self._results: list[T] = []
        self._error: Exception | None = None
        self.done = anyio.Event()

    async def run(self, one: anyio.CapacityLimiter) -> None:
        try:
            result = await anyio.to_thread.run_sync(self._change, limiter=one)
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
