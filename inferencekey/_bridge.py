"""Sync over async: the only thread code. One event-loop thread per process serves every sync client.

Rules:

* the calling thread waits; Ctrl-C in it cancels the call upstream and waits for the cancellation before it is raised;
* a call from inside a running loop blocks that loop, as any sync call does, and works;
* callbacks run in the calling thread, which serves them while it waits;
* a forked child starts a thread of its own, on its first call, and never touches the parent's sockets;
* at interpreter exit the loop ends in order: calls are cancelled, sessions closed, the thread joined.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import selectors
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast

from inferencekey._async.callbacks import in_caller
from inferencekey._async.streams import AsyncStream
from inferencekey.errors import ConfigurationError

__all__ = ["SyncStream", "run"]

P = ParamSpec("P")
T = TypeVar("T")

# A lock's acquire without a timeout cannot be interrupted by Ctrl-C on Windows.
WAIT: Final = 0.2 if sys.platform == "win32" else -1


class _Thread:
    """The loop thread of one process."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(self.selector)
        self.process = os.getpid()
        self.thread = threading.Thread(target=self._main, name="inferencekey", daemon=True)
        self.thread.start()

    def _main(self) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            # One more turn: transports that were just closed report so on the next one.
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def stop(self) -> None:
        """End the loop in order. A call that will not be cancelled is left behind after 5 s: exit must not hang."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class _Call(Generic[T]):
    """One call of a coroutine function from a waiting thread."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function: Callable[[], Coroutine[Any, Any, T]] | None = function
        self._context = contextvars.copy_context()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._errands: deque[tuple[Callable[[], object], asyncio.Future[object]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self, loop: asyncio.AbstractEventLoop) -> T:
        """In the calling thread: start the call, serve its callbacks, return its result."""
        loop.call_soon_threadsafe(self._start, loop)
        try:
            while not self._done:
                if self._wake.acquire(timeout=WAIT):
                    self._serve(loop)
        except BaseException:
            loop.call_soon_threadsafe(self._cancel)
            while not self._done:
                self._wake.acquire(timeout=WAIT)
            raise
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        result, self._result = cast("T", self._result), None
        return result

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._errands:
            function, reply = self._errands.popleft()
            try:
                result = function()
            except Exception as error:
                loop.call_soon_threadsafe(_fail, reply, error)
            else:
                loop.call_soon_threadsafe(_succeed, reply, result)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._context.run(in_caller.set, self._in_caller)
        self._task = loop.create_task(self._run(), context=self._context)
        # Should the loop stop before the task's first step, nothing of _run runs, and the caller would wait for ever.
        self._task.add_done_callback(self._finish)

    async def _run(self) -> None:
        # Timers that the call leaves behind (a pooled connection has some) keep its context, and so this object: it lets
        # go of the function here and of the result in wait, or a dropped stream would never be dropped.
        function, self._function = self._function, None
        assert function is not None
        self._result = await function()

    def _finish(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._error = ConfigurationError(
                "configuration error: the call was cancelled because the interpreter exits"
            )
        else:
            self._error = task.exception()
        self._done = True
        self._task = None
        self._release()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _in_caller(self, function: Callable[[], object]) -> Awaitable[object]:
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._errands.append((function, reply))
        self._release()
        return reply

    def _release(self) -> None:
        # Only the loop thread releases and only the caller acquires, so a lock that is held is held for us.
        if self._wake.locked():
            self._wake.release()


def _succeed(reply: asyncio.Future[object], result: object) -> None:
    if not reply.done():
        reply.set_result(result)


def _fail(reply: asyncio.Future[object], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)


_lock = threading.Lock()
_current: _Thread | None = None
_exiting = False
_abandoned: list[_Thread] = []


def _thread() -> _Thread:
    global _current
    current = _current
    if current is not None:
        return current
    with _lock:
        if _exiting:
            raise ConfigurationError(
                "configuration error: the interpreter is exiting; sync calls are no longer possible."
            )
        if _current is None:
            _current = _Thread()
        return _current


def run(function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function on the loop thread and return its result.

    Raises:
        ConfigurationError: called on the loop thread itself, or while the interpreter exits.
    """
    thread = _thread()
    if threading.get_ident() == thread.thread.ident:
        raise ConfigurationError(
            "configuration error: a sync client was used inside the SDK's own event loop; use the Async one there."
        )
    return _Call(lambda: function(*args, **kwargs)).wait(thread.loop)


def _at_exit() -> None:
    global _current, _exiting
    with _lock:
        _exiting = True
        current, _current = _current, None
    if current is not None and current.process == os.getpid():
        current.stop()


def _in_child() -> None:
    """After a fork: the parent's loop thread does not exist here, and its sockets are not ours."""
    global _lock, _current
    _lock = threading.Lock()
    if _current is not None:
        # The selector's kernel object is shared with the parent: closing our handle keeps the clean-up of abandoned
        # transports from taking the parent's sockets out of it. The objects are kept so that no clean-up runs early.
        _current.selector.close()
        _abandoned.append(_current)
        _current = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_in_child
    )


class SyncStream(Generic[T]):
    """What every sync stream does: opened by the call that made it; closed by ``close``, by leaving its ``with`` block,
    at its end, on any error, and when it is dropped.

    One crossing of threads hands over everything that one read brought.
    """

    def __init__(self, stream: AsyncStream[T]) -> None:
        self._stream = stream
        self._batch: list[T] = []
        self._next = 0
        run(stream._open_once)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._next >= len(self._batch):
            self._batch = run(self._stream._next_batch)
            self._next = 0
            if not self._batch:
                raise StopIteration
        item = self._batch[self._next]
        self._next += 1
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the upstream at once. What had been read stays available; iteration ends."""
        self._batch = []
        self._next = 0
        run(self._stream.aclose)
