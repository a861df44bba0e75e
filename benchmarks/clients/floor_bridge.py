"""The floor of sync clients over an async core: the smallest possible bridge.

One thread runs a loop. A call creates a task there with ``call_soon_threadsafe`` and waits for a
lock, which the task releases at its end. The task is the POST of the aiohttp floor. There is no
cancellation, no context and no delivery of errors. A stream is read completely and then returned,
which no streaming client may do, so the floor of streams is ``floor-httpclient``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from benchmarks.clients.floor_aiohttp import FloorAiohttp
from benchmarks.loops import new_loop

T = TypeVar("T")


class FloorBridge:
    """A loop in a thread, and a lock for each call."""

    def __init__(self, url: str) -> None:
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._floor = self._run(lambda: _make_floor(url))

    def _run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        result: list[T] = []
        held: list[asyncio.Task[None]] = []
        wake = threading.Lock()
        wake.acquire()

        async def task() -> None:
            result.append(await function())
            wake.release()

        def start() -> None:
            held.append(self._loop.create_task(task()))

        self._loop.call_soon_threadsafe(start)
        wake.acquire()
        return result[0]

    def unary(self) -> str:
        return self._run(self._floor.unary)

    def stream(self, slug: str) -> list[str]:
        return self._run(lambda: self._floor.stream(slug))

    def first(self) -> float:
        return self._run(self._floor.first)

    def embed(self) -> list[list[float]]:
        return self._run(self._floor.embed)

    def close(self) -> None:
        self._run(self._floor.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _make_floor(url: str) -> FloorAiohttp:
    return FloorAiohttp(url)
