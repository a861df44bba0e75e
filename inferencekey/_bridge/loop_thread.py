"""The thread whose event loop serves every sync client of the process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import encodings.idna
import os
import select
import selectors
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from inferencekey._http import process
from inferencekey.errors import ConfigurationError


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


def _at_exit() -> None:
    global _current, _exiting
    with _lock:
        _exiting = True
        current, _current = _current, None
    if current is not None and current.process == process.current():
        current.stop()


def _in_child() -> None:
    """After a fork: the parent's loop thread does not exist here, and its sockets are not ours."""
    global _lock, _current
    _lock = threading.Lock()
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
