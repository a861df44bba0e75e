"""How the event loop's thread wakes a thread that waits."""

from __future__ import annotations

import os
import sys
import threading
from typing import Final

# A lock's acquire without a timeout cannot be interrupted by Ctrl-C on Windows.
WAIT: Final = 0.2 if sys.platform == "win32" else -1


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


def _in_child() -> None:
    global _mine
    _mine = _Mine()  # a parent's bell is rung for the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
