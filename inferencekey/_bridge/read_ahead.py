"""Sync streams. The loop thread reads a stream ahead of the thread that iterates it."""

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
from inferencekey._bridge import loop_thread, wakeup
from inferencekey._bridge.call import run
from inferencekey._bridge.loop_thread import LoopThread
from inferencekey._bridge.wakeup import _Waker
from inferencekey._http import process

__all__ = ["MAX_AHEAD", "ReadAhead", "SyncStream"]

T = TypeVar("T")

MAX_AHEAD: Final = 1024
"""How many items the loop thread holds for a reader.

Then it stops reading until the reader has taken half of them.
"""


class ReadAhead(Generic[T]):
    """Reads a stream in the loop thread; another thread takes the batches.

    An item costs the other thread one wake-up at most, and the loop none. A call for each item
    would cost both one.
    """

    def __init__(self, stream: AsyncStream[T], thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread
        self._context = contextvars.copy_context()
        self._batches: deque[list[T]] = deque()
        # Each counter is written by one thread only, so neither needs a lock.
        self._items_read = 0
        self._items_taken = 0
        self._waiting: _Waker | None = None
        self._room: asyncio.Future[None] | None = None
        self._cancelled = False
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self._error: BaseException | None = None
        thread.schedule(self._start)

    @property
    def is_inherited(self) -> bool:
        """Whether a parent process made this. Its loop thread does not exist here."""
        return self._thread.process != process.current()

    def next_batch(self) -> list[T]:
        """In one thread at a time: return the next items; an empty list at the end."""
        try:
            self._wait_until(lambda: bool(self._batches) or self._done)
        except BaseException:  # Ctrl-C
            self._interrupt()
            raise
        if self._batches:
            batch = self._batches.popleft()
            self._items_taken += len(batch)
            if self._room is not None and self._items_read - self._items_taken <= MAX_AHEAD // 2:
                self._thread.loop.call_soon_threadsafe(self._resume)
            return batch
        if self._error is None:
            return []
        # The traceback refers to this frame; a reference back to the error would make a cycle.
        error, self._error = self._error, None
        try:
            raise error
        finally:
            del error

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        waker = wakeup._local.waker
        try:
            while not ready():
                # The order prevents a lost wake-up: this thread sets _waiting and then checks, the
                # loop thread appends a batch and then reads _waiting.
                self._waiting = waker
                if not ready():
                    waker.wait()
        finally:
            self._waiting = None

    def _interrupt(self) -> None:
        if not self._done:
            self._thread.loop.call_soon_threadsafe(self.cancel)
            self._wait_until(lambda: self._done)
        self._error = None

    def clear(self) -> None:
        """Discard the items that were read and not taken."""
        self._batches.clear()

    def drop(self) -> None:
        """From any thread, even in a finalizer: stop reading and close the connection."""
        if not self._done and not self.is_inherited:
            with suppress(RuntimeError):  # the loop is closed, and every connection with it
                self._thread.loop.call_soon_threadsafe(self.cancel)

    def cancel(self) -> None:
        """In the loop's thread: stop reading and close the connection."""
        # The task may not exist yet: another thread's wake-up of the loop may be the one that
        # starts it.
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._run(loop), context=self._context)
        self._task.add_done_callback(self._on_task_done)

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._cancelled and (batch := await self._stream._next_batch()):
                self._batches.append(batch)
                self._items_read += len(batch)
                self._wake_reader()
                if self._items_read - self._items_taken >= MAX_AHEAD:
                    # Set before the check, for the same reason as in _wait_until: the reader counts
                    # and then looks.
                    self._room = loop.create_future()
                    if self._items_read - self._items_taken >= MAX_AHEAD // 2:
                        await self._room
                    self._room = None
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise
        except BaseException as error:
            self._error = error
        if self._cancelled:
            await self._stream.aclose()
        self._finish()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not self._done:
            if not self._cancelled:
                self._error = loop_thread.exit_error()
            self._finish()

    def _finish(self) -> None:
        self._done = True
        self._task = None
        self._wake_reader()

    def _resume(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake_reader(self) -> None:
        waker, self._waiting = self._waiting, None
        if waker is not None:
            waker.wake()


class SyncStream(Generic[T]):
    """Base of every sync stream.

    The call that makes it opens it. It is closed by ``close``, by leaving its ``with`` block, at
    its end, by any error, and when it is dropped.
    """

    _read_ahead: ReadAhead[T] | None = None

    def __init__(self, stream: AsyncStream[T]) -> None:
        self._stream = stream
        self._items: Iterator[T] = iter(())
        # Several threads may iterate one stream; each item goes to one of them.
        self._lock = threading.Lock()
        run(stream._open_once)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        for item in self._items:
            return item
        if self._read_ahead is not None and self._read_ahead.is_inherited:
            # Only the parent process may read this connection. _next_batch raises the error that
            # explains it.
            run(self._stream._next_batch)
            raise StopIteration
        with self._lock:
            # Another thread may have fetched a batch while this one waited for the lock.
            for item in self._items:
                return item
            if self._read_ahead is None:
                self._read_ahead = ReadAhead(self._stream, loop_thread.current())
            self._items = iter(self._read_ahead.next_batch())
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
        """Close the connection at once. Iteration ends; what had arrived stays available."""
        self._items = iter(())
        if self._read_ahead is not None:
            self._read_ahead.drop()
        run(self._stream.aclose)
        if self._read_ahead is not None:
            self._read_ahead.clear()
            self._items = iter(())

    def __del__(self) -> None:
        if self._read_ahead is not None:
            self._read_ahead.drop()
