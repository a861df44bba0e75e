"""The floor of sync clients over an async core: the least bridge there can be.

One thread runs a loop. A call hands it one task by ``call_soon_threadsafe`` and waits for a lock, which the task releases
at its end; the task is the aiohttp floor's POST. Nothing cancels, nothing carries context, an error is not delivered. A
stream is read whole by one task and handed over at its end, which no client that streams may do: the floor's streams are
those of ``floor-httpclient``.
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
        self._floor = self._run(lambda: _made(url))

    def _run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        answer: list[T] = []
        held: list[asyncio.Task[None]] = []
        wake = threading.Lock()
        wake.acquire()

        async def task() -> None:
            answer.append(await function())
            wake.release()

        def start() -> None:
            held.append(self._loop.create_task(task()))

        self._loop.call_soon_threadsafe(start)
        wake.acquire()
        return answer[0]

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


async def _made(url: str) -> FloorAiohttp:
    return FloorAiohttp(url)
