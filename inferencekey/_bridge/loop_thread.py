"""The thread whose event loop serves every sync client of the process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import encodings.idna
import importlib
import os
import select
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from inferencekey._http import process
from inferencekey.config import UVLOOP, plain_aiohttp
from inferencekey.errors import ConfigurationError

__all__ = ["LoopThread", "current", "exit_error"]

STOP_TIMEOUT: Final = 5.0
"""Seconds that interpreter exit waits for the thread.

A call that ignores its cancellation must not block exit.
"""


def _import_uvloop() -> Any:
    if not UVLOOP.read():
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop


# Everything that a first connection would import is imported here. A fork during an import in
# another thread leaves that module's import lock held in the child forever.
_uvloop = _import_uvloop()
_PRELOADED: Final = (encodings.idna, concurrent.futures.thread)
if not plain_aiohttp(aiohttp.__version__):
    importlib.import_module("inferencekey._http.fast_path")


class LoopThread:
    """The thread, and the event loop that it runs."""

    def __init__(self) -> None:
        self.loop, self.detach_from_parent = _new_loop()
        self.process = process.current()
        self._callbacks: deque[Callable[[asyncio.AbstractEventLoop], None]] = deque()
        self._wakeup_pending = False
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
            # A closed transport calls connection_lost in the loop's next iteration: run one more.
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def schedule(self, callback: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        """Call *callback* with the loop, in the loop's thread.

        ``call_soon_threadsafe`` writes to a socket. Callbacks that arrive before the loop has woken
        up share one write.
        """
        self._callbacks.append(callback)
        if not self._wakeup_pending:
            self._wakeup_pending = True
            self.loop.call_soon_threadsafe(self._run_callbacks)

    def _run_callbacks(self) -> None:
        # Cleared before the queue is read: a callback that is appended from here on schedules a
        # wake-up of its own.
        self._wakeup_pending = False
        while self._callbacks:
            self._callbacks.popleft()(self.loop)

    def stop(self) -> None:
        """Cancel what is running, close the loop, and join the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(STOP_TIMEOUT)


def _new_loop() -> tuple[asyncio.AbstractEventLoop, Callable[[], None]]:
    """Return a loop, and the function that detaches a forked child's copy from the parent's."""
    if _uvloop is not None and _standard_streams_are_open():
        loop = _uvloop.new_event_loop()
        return loop, lambda: _replace_epoll(loop._get_backend_id())
    selector = selectors.DefaultSelector()
    return asyncio.SelectorEventLoop(selector), selector.close


def _standard_streams_are_open() -> bool:
    """Return whether none of the descriptors 0 to 2 could be given to a socket of the loop.

    libuv ends the whole process (``abort``) when it closes such a descriptor. Daemons close the
    three, and a program may be started without them (``2>&-``).
    """
    try:
        for descriptor in (0, 1, 2):
            os.fstat(descriptor)
    except OSError:
        return False
    return True


def _replace_epoll(descriptor: int) -> None:
    # Parent and child share one epoll instance. When the child collects its copies of the parent's
    # transports, it would remove the parent's sockets from it. On other systems a fork does not
    # inherit the loop's descriptor (kqueue).
    if sys.platform == "linux":
        with select.epoll() as empty:
            os.dup2(empty.fileno(), descriptor, inheritable=False)


_lock = threading.Lock()
_current: LoopThread | None = None
_exiting = False
_inherited: list[LoopThread] = []
"""The parents' loops in a forked child.

They are referenced forever, because their finalizers must not run here.
"""


def current() -> LoopThread:
    """Return the process's thread; start it if there is none.

    Raises:
        ConfigurationError: the interpreter is exiting.
    """
    global _current
    thread = _current
    if thread is not None:
        return thread
    with _lock:
        if _exiting:
            raise ConfigurationError.of(
                "the interpreter is exiting; sync calls are no longer possible."
            )
        if _current is None:
            _current = LoopThread()
        return _current


def exit_error() -> ConfigurationError:
    """Return the error of a call that interpreter exit has cancelled."""
    return ConfigurationError.of("the call was cancelled because the interpreter exits")


def _stop_at_exit() -> None:
    global _current, _exiting
    with _lock:
        _exiting = True
        thread, _current = _current, None
    if thread is not None and thread.process == process.current():
        thread.stop()


def _reset_in_child() -> None:
    # A fork copies only the thread that called it: the parent's loop thread does not exist here.
    global _lock, _current
    _lock = threading.Lock()
    if _current is not None:
        _current.detach_from_parent()
        _inherited.append(_current)
        _current = None


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    # The lock is held across a fork, so that no child sees a thread that is half made.
    os.register_at_fork(
        before=lambda: _lock.acquire(),
        after_in_parent=lambda: _lock.release(),
        after_in_child=_reset_in_child,
    )
