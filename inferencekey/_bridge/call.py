"""One call of a coroutine function, from a thread that waits for its result."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, cast

from inferencekey._async.callbacks import in_caller
from inferencekey._bridge import loop_thread
from inferencekey._bridge.loop_thread import LoopThread
from inferencekey._bridge.wakeup import LOCK_TIMEOUT
from inferencekey.errors import ConfigurationError

__all__ = ["run"]

P = ParamSpec("P")
T = TypeVar("T")


def run(function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function on the loop thread and return its result.

    Raises:
        ConfigurationError: called on the loop thread itself, or while the interpreter exits.
    """
    thread = loop_thread.current()
    if threading.get_ident() == thread.thread.ident:
        raise ConfigurationError.of(
            "a sync client was used inside the SDK's own event loop; use the Async one there."
        )
    return _Call(lambda: function(*args, **kwargs)).wait(thread)


class _Call(Generic[T]):
    """A call: started and awaited by the calling thread, run by the loop thread."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._function: Callable[[], Coroutine[Any, Any, T]] | None = function
        self._context = contextvars.copy_context()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._callbacks: deque[tuple[Callable[[], object], asyncio.Future[object]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._done = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self, thread: LoopThread) -> T:
        """In the calling thread: start the call, run its callbacks, return its result."""
        thread.schedule(self.start)
        try:
            while not self._done:
                if self._wake.acquire(timeout=LOCK_TIMEOUT):
                    self._run_callbacks(thread.loop)
        except BaseException:
            # Ctrl-C, or another signal handler's exception. First the connection is closed.
            thread.loop.call_soon_threadsafe(self._cancel)
            while not self._done:
                self._wake.acquire(timeout=LOCK_TIMEOUT)
            raise
        if self._error is not None:
            # The traceback refers to this frame; a reference back to the error would make a cycle.
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        result, self._result = cast("T", self._result), None
        return result

    def _run_callbacks(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._callbacks:
            function, future = self._callbacks.popleft()
            try:
                result = function()
            except Exception as error:
                loop.call_soon_threadsafe(_set_exception, future, error)
            else:
                loop.call_soon_threadsafe(_set_result, future, result)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop's thread: create the task."""
        self._context.run(in_caller.set, self._call_in_caller)
        self._task = loop.create_task(self._run(), context=self._context)
        # If the loop stops before the task's first step, _run does not run at all. Without this
        # callback the calling thread would wait forever.
        self._task.add_done_callback(self._on_task_done)
        if self._cancelled:
            self._task.cancel()

    async def _run(self) -> None:
        # A timer of a pooled connection keeps the context of the call that made it, and so this
        # object. The function is released here and the result in wait(); otherwise that timer would
        # keep a dropped stream open.
        function, self._function = self._function, None
        assert function is not None
        try:
            self._result = await function()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._error = error
        # The caller is woken in the task's last step. A done callback would run one iteration of
        # the loop later.
        self._done = True
        self._task = None
        self._wake_caller()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not self._done:
            self._error = loop_thread.exit_error()
            self._done = True
            self._task = None
            self._wake_caller()

    def _cancel(self) -> None:
        # The task may not exist yet: another thread's wake-up of the loop may be the one that
        # starts this call.
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _call_in_caller(self, function: Callable[[], object]) -> Awaitable[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._callbacks.append((function, future))
        self._wake_caller()
        return future

    def _wake_caller(self) -> None:
        # Only the loop thread releases this lock and only the caller acquires it, so this check
        # cannot race.
        if self._wake.locked():
            self._wake.release()


def _set_result(future: asyncio.Future[object], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[object], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
