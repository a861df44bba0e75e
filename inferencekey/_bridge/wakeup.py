"""How the event loop's thread wakes a thread that waits for a stream."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

LOCK_TIMEOUT: Final = 0.2 if sys.platform == "win32" else -1
"""Seconds of one wait for a lock; -1 has no end.

On Windows Ctrl-C does not interrupt ``Lock.acquire()`` (bpo-29971), so a wait is many short ones.
"""


class _Waker:
    """Wakes the one thread that waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Return after the next ``wake``. It may also return without one."""
        self._lock.acquire(timeout=LOCK_TIMEOUT)

    def wake(self) -> None:
        """In the loop's thread: let ``wait`` return."""
        if self._lock.locked():
            self._lock.release()


class _EventFDWaker(_Waker):
    """The same with an eventfd, on Linux.

    ``Lock.release()`` runs with the GIL held, so the woken thread blocks on the GIL at once.
    ``os.eventfd_write()`` releases the GIL first: a token of a paced stream then takes 0.9 context
    switches instead of 2.4.
    """

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0)

    def wait(self) -> None:
        os.read(self._descriptor, 8)

    def wake(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def __del__(self) -> None:
        # __init__ may have failed before there was a descriptor.
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class _Local(threading.local):
    """The waker of each thread: one for all its streams, because descriptors are scarce."""

    def __init__(self) -> None:
        try:
            self.waker = _EventFDWaker() if hasattr(os, "eventfd") else _Waker()
        except OSError:  # the process has no descriptor left
            self.waker = _Waker()


_local = _Local()


def _reset_in_child() -> None:
    # A child shares the parent's eventfd: a wake-up in one process would reach the other.
    global _local
    _local = _Local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
