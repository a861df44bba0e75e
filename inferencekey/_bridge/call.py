"""One call of a coroutine function, from a thread that waits for its result."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, cast

from inferencekey._async.callbacks import in_caller
from inferencekey._bridge.loop_thread import _exits, _Thread, _thread
from inferencekey._bridge.wakeup import WAIT
from inferencekey.errors import ConfigurationError

P = ParamSpec("P")
T = TypeVar("T")


def run(function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function on the loop thread and return its result.

    Raises:
        ConfigurationError: called on the loop thread itself, or while the interpreter exits.
    """
    thread = _thread()
    if threading.get_ident() == thread.thread.ident:
        raise ConfigurationError.of(
            "a sync client was used inside the SDK's own event loop; use the Async one there."
        )
    return _Call(lambda: function(*args, **kwargs)).wait(thread)


class _Call(Generic[T]):
    """One call of a coroutine function from a waiting thread."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function: Callable[[], Coroutine[Any, Any, T]] | None = function
        self._context = contextvars.copy_context()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._errands: deque[tuple[Callable[[], object], asyncio.Future[object]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._done = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self, thread: _Thread) -> T:
        """In the calling thread: start the call, serve its callbacks, return its result."""
        thread.begin(self.start)
        try:
            while not self._done:
                if self._wake.acquire(timeout=WAIT):
                    self._serve(thread.loop)
        except BaseException:
            thread.loop.call_soon_threadsafe(self._cancel)
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

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop's thread: begin."""
        self._context.run(in_caller.set, self._in_caller)
        self._task = loop.create_task(self._run(), context=self._context)
        # Should the loop stop before the task's first step, nothing of _run runs, and the caller would wait for ever.
        self._task.add_done_callback(self._ended)
        if self._cancelled:
            self._task.cancel()

    async def _run(self) -> None:
        # Timers that the call leaves behind (a pooled connection has some) keep its context, and so this object: it lets
        # go of the function here and of the result in wait, or a dropped stream would never be dropped.
        function, self._function = self._function, None
        assert function is not None
        try:
            self._result = await function()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._error = error
        # The caller goes on now, and not one turn of the loop later.
        self._done = True
        self._task = None
        self._release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._done:
            self._error = _exits()
            self._done = True
            self._task = None
            self._release()

    def _cancel(self) -> None:
        self._cancelled = (
            True  # where another thread's wake-up is to begin this call, it may not have begun
        )
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
