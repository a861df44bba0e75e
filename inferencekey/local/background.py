"""The background tasks of the platform.

This is not an :class:`asyncio.TaskGroup`. A task group would have to be open during the user's
``async with`` block, and would wrap the exceptions of the block in an exception group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVarTuple

__all__ = ["Background"]

Args = TypeVarTuple("Args")


class Background:
    """Tasks that run until they end, or until the platform stops.

    Args:
        log: gets the traceback of a task that fails. The other tasks continue.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, run: Callable[[*Args], Coroutine[Any, Any, None]], *args: *Args) -> None:
        """Start a task in the running event loop."""
        task = asyncio.create_task(run(*args))
        # The event loop keeps only weak references to its tasks.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def aclose(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("unexpected error in a background task", exc_info=error)
