"""Sync streams, which the event loop's thread reads ahead of the thread that iterates them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from inferencekey._async.streams import AsyncStream
from inferencekey._bridge import wakeup
from inferencekey._bridge.call import run
from inferencekey._bridge.loop_thread import _exits, _Thread, _thread
from inferencekey._bridge.wakeup import _Bell
from inferencekey._http import process

T = TypeVar("T")

AHEAD: Final = 1024
"""How many items a sync stream is read ahead of its reader, before reading waits."""


class _Pump(Generic[T]):
    """Reads a stream on the loop's thread, ahead of the thread that takes what was read: a token costs that thread one
    wake-up, and the loop none.
    """

    def __init__(self, stream: AsyncStream[T], thread: _Thread) -> None:
        self._stream = stream
        self._thread = thread
        self._context = contextvars.copy_context()
        self._batches: deque[list[T]] = deque()
        self._read = 0  # how many items, by the loop's thread
        self._taken = 0  # how many of them, by the other
        self._waits: _Bell | None = None  # the other thread, while it does
        self._room: asyncio.Future[None] | None = None
        self._dropped = False
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self._error: BaseException | None = None
        thread.begin(self._start)

    @property
    def inherited(self) -> bool:
        """Whether it is the parent's of this process: nobody reads here."""
        return self._thread.process != process.current()

    def take(self) -> list[T]:
        """In one thread at a time: return what was read, an empty list at the end."""
        try:
            self._wait(lambda: bool(self._batches) or self._done)
        except BaseException:  # Ctrl-C
            self._interrupt()
            raise
        if self._batches:
            batch = self._batches.popleft()
            self._taken += len(batch)
            if self._room is not None and self._read - self._taken <= AHEAD // 2:
                self._thread.loop.call_soon_threadsafe(self._resume)
            return batch
        if self._error is None:
            return []
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error

    def _wait(self, ready: Callable[[], bool]) -> None:
        bell = wakeup._mine.bell
        try:
            while not ready():
                self._waits = bell  # before the last look, as the loop's thread looks at it after its last step
                if not ready():
                    bell.wait()
        finally:
            self._waits = None

    def _interrupt(self) -> None:
        if not self._done:
            self._thread.loop.call_soon_threadsafe(self.cancel)
            self._wait(lambda: self._done)
        self._error = None

    def clear(self) -> None:
        """Forget what was read and not taken."""
        self._batches.clear()

    def drop(self) -> None:
        """From any thread, a garbage collector's too: nobody will take anything any more."""
        if not self._done and not self.inherited:
            with suppress(RuntimeError):  # the loop is closed: so is everything on it
                self._thread.loop.call_soon_threadsafe(self.cancel)

    def cancel(self) -> None:
        """In the loop's thread: stop reading and close the upstream."""
        self._dropped = (
            True  # where another thread's wake-up is to begin this, it may not have begun
        )
        if self._task is not None:
            self._task.cancel()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._run(loop), context=self._context)
        self._task.add_done_callback(self._ended)

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._dropped and (batch := await self._stream._next_batch()):
                self._batches.append(batch)
                self._read += len(batch)
                self._wake()
                if self._read - self._taken >= AHEAD:
                    # Set before the last look, as the other thread looks at it after its last step.
                    self._room = loop.create_future()
                    if self._read - self._taken >= AHEAD // 2:
                        await self._room
                    self._room = None
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise
        except BaseException as error:
            self._error = error
        if self._dropped:
            await self._stream.aclose()
        self._end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._done:
            if not self._dropped:
                self._error = _exits()
            self._end()

    def _end(self) -> None:
        self._done = True
        self._task = None
        self._wake()

    def _resume(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake(self) -> None:
        bell, self._waits = self._waits, None
        if bell is not None:
            bell.ring()


class SyncStream(Generic[T]):
    """What every sync stream does: opened by the call that made it; closed by ``close``, by leaving its ``with`` block,
    at its end, on any error, and when it is dropped.

    Once it is iterated, the loop's thread reads ahead, to a limit; what one read brought is handed over at once.
    """

    _pump: _Pump[T] | None = None

    def __init__(self, stream: AsyncStream[T]) -> None:
        self._stream = stream
        self._items: Iterator[T] = iter(())
        self._taking = threading.Lock()
        run(stream._open_once)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        for item in self._items:
            return item
        if self._pump is not None and self._pump.inherited:
            run(
                self._stream._next_batch
            )  # what the parent reads is the parent's; the stream itself says so
            raise StopIteration
        with self._taking:  # several threads may share a stream: each item goes to one of them
            for item in self._items:
                return item
            if self._pump is None:
                self._pump = _Pump(self._stream, _thread())
            self._items = iter(self._pump.take())
            for item in self._items:
                return item
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the upstream at once. What had been read stays available; iteration ends."""
        self._items = iter(())
        if self._pump is not None:
            self._pump.drop()
        run(self._stream.aclose)
        if self._pump is not None:
            self._pump.clear()
            self._items = iter(())

    def __del__(self) -> None:
        if self._pump is not None:
            self._pump.drop()
