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
import concurrent.futures.thread
import contextvars
import encodings.idna
import os
import select
import selectors
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast

from inferencekey._async.callbacks import in_caller
from inferencekey._async.streams import AsyncStream
from inferencekey._http import process
from inferencekey.errors import ConfigurationError

__all__ = ["SyncStream", "run"]

P = ParamSpec("P")
T = TypeVar("T")

# A lock's acquire without a timeout cannot be interrupted by Ctrl-C on Windows.
WAIT: Final = 0.2 if sys.platform == "win32" else -1

AHEAD: Final = 1024
"""How many items a sync stream is read ahead of its reader, before reading waits."""


def _import_uvloop() -> Any:
    if os.environ.get("INFERENCEKEY_UVLOOP", "").strip().lower() in ("0", "off", "no", "false"):
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop


# What a first connection would import is imported here: an import in one thread while another forks leaves the module's lock
# held in the child for ever.
_uvloop = _import_uvloop()
_PRELOADED: Final = (encodings.idna, concurrent.futures.thread)


def _new_loop() -> tuple[asyncio.AbstractEventLoop, Callable[[], None]]:
    """Return a loop, and what a forked child does to it.

    The kernel's list of sockets is shared with the parent. A child's copy of the loop must not reach it: the clean-up of
    abandoned transports would take the parent's sockets out of it.
    """
    if _uvloop is not None:
        fast = _uvloop.new_event_loop()
        return fast, lambda: _replace_epoll(fast._get_backend_id())
    selector = selectors.DefaultSelector()
    return asyncio.SelectorEventLoop(selector), selector.close


def _replace_epoll(descriptor: int) -> None:
    if sys.platform == "linux":  # elsewhere it is not inherited
        with select.epoll() as empty:
            os.dup2(empty.fileno(), descriptor, inheritable=False)


class _Thread:
    """The loop thread of one process."""

    def __init__(self) -> None:
        self.loop, self.unshare = _new_loop()
        self.process = process.current()
        self._begun: deque[Callable[[asyncio.AbstractEventLoop], None]] = deque()
        self._woken = False
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

    def begin(self, start: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        """Have the loop's thread call *start*. Calls that come before it has woken up cost one wake-up together."""
        self._begun.append(start)
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._woken = False  # first: what is appended from here on wakes the loop again
        while self._begun:
            self._begun.popleft()(self.loop)

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
            raise ConfigurationError.of(
                "the interpreter is exiting; sync calls are no longer possible."
            )
        if _current is None:
            _current = _Thread()
        return _current


def _exits() -> ConfigurationError:
    return ConfigurationError.of("the call was cancelled because the interpreter exits")


class _Bell:
    """Wakes the thread that waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Return once it was rung; now and then for nothing."""
        self._lock.acquire(timeout=WAIT)

    def ring(self) -> None:
        """In the loop's thread."""
        if self._lock.locked():
            self._lock.release()


class _KernelBell(_Bell):
    """The same by the kernel, where it has a bell.

    Whoever releases a lock holds the interpreter: the thread that wakes up takes its processor, finds it locked, sleeps again,
    and is woken again. While these bytes are written nobody holds it.
    """

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0)

    def wait(self) -> None:
        os.read(self._descriptor, 8)

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class _Mine(threading.local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        try:
            self.bell = _KernelBell() if hasattr(os, "eventfd") else _Bell()
        except OSError:  # no descriptor is left
            self.bell = _Bell()


_mine = _Mine()


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
        bell = _mine.bell
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


def _at_exit() -> None:
    global _current, _exiting
    with _lock:
        _exiting = True
        current, _current = _current, None
    if current is not None and current.process == process.current():
        current.stop()


def _in_child() -> None:
    """After a fork: the parent's loop thread does not exist here, and its sockets are not ours."""
    global _lock, _current, _mine
    _lock = threading.Lock()
    _mine = _Mine()  # a parent's bell is rung for the parent
    if _current is not None:
        # The objects are kept so that no clean-up runs early.
        _current.unshare()
        _abandoned.append(_current)
        _current = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _lock.acquire(),
        after_in_parent=lambda: _lock.release(),
        after_in_child=_in_child,
    )


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
