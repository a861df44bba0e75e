"""The lock file as several applies at once may change it: read, changed and written by one of them at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from inferencekey.manifest import Lock, LockEntry

__all__ = ["change_lock", "without"]


def change_lock(path: Path, change: Callable[[Lock], Lock], *, always: bool = True) -> None:
    """Read the lock file, change it and write it, with no other ``apply`` between.

    Args:
        path: the lock file.
        change: returns the lock as it is to be.
        always: write it even if nothing changed, to see that it can be written.

    Raises:
        ConfigurationError: it is none.
        OSError: it cannot be read or written.
    """
    with _alone(path.resolve().parent):
        before = Lock.read(path)
        after = change(before)
        if always or after != before:
            after.write()


def without(lock: Lock, entry: LockEntry) -> Lock:
    """Return the lock without exactly this record: another one that has taken its slug since stays."""
    return attrs.evolve(lock, entries=lock.entries - {entry})


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    # The folder is locked and no file in it: writing puts a new file in the place of the old one, and a second one
    # beside it would be left behind.
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)
