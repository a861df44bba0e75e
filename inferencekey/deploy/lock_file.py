"""Changes to the lock file, which several applies may make at the same time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import attrs

from inferencekey.errors import ConfigurationError
from inferencekey.manifest import SUFFIXES, Lock, LockEntry, Manifest

__all__ = ["change_lock", "check_lock_is_not_shared", "without_entry"]

_SHARED_NAME = "inferencekey.lock"


def change_lock(path: Path, change: Callable[[Lock], Lock], *, always: bool = True) -> None:
    """Read the lock file, change it and write it; no other ``apply`` does so at the same time.

    Args:
        path: the lock file.
        change: returns the new content.
        always: write the file even if nothing changed, to find out whether it can be written.

    Raises:
        ConfigurationError: the file is not a lock file.
        OSError: it cannot be read or written.
    """
    with _exclusive(path.resolve().parent):
        before = Lock.read(path)
        after = change(before)
        if always or after != before:
            after.write()


def without_entry(lock: Lock, entry: LockEntry) -> Lock:
    """Return the lock without exactly this record; a newer record of the same slug stays."""
    return attrs.evolve(lock, entries=lock.entries - {entry})


def check_lock_is_not_shared(manifest: Manifest) -> None:
    """Check that no other manifest beside this one has the same lock file.

    Each of two such manifests would remove what the other one created.

    Raises:
        ConfigurationError: there is one.
    """
    # Only the default name has one lock file for all formats.
    if manifest.lock_path.name != _SHARED_NAME:
        return
    for suffix in SUFFIXES:
        other = manifest.path.with_suffix(suffix)
        if other != manifest.path and other.is_file():
            raise ConfigurationError.of(
                f"{manifest.path} and {other} have the same lock file, {manifest.lock_path}, so "
                "each would remove what the other one created; rename or move one of them"
            )


if sys.platform == "win32":

    @contextmanager
    def _exclusive(folder: Path) -> Generator[None]:
        # Windows locks no directories, and a lock file of the lock file would be left behind.
        yield

else:
    import fcntl

    @contextmanager
    def _exclusive(folder: Path) -> Generator[None]:
        # The directory is locked and not the lock file: a write replaces the file, and with it the
        # lock that another process waits for. A second file just for this would be left behind.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
