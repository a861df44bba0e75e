"""One platform per data directory, and where it is to be found.

The lock is the kernel's: it goes with the process, however that ends. The run file says who holds it, and may be left
behind by a killed platform; whoever reads it checks.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs

from inferencekey.local.errors import PlatformError

__all__ = [
    "DirectoryLock",
    "RunFile",
    "create_private",
    "is_locked",
    "read_run_file",
    "remove_run_file",
    "write_run_file",
]


@attrs.frozen(kw_only=True)
class RunFile:
    """Who runs the platform of a data directory, and where it answers."""

    pid: int
    base_url: str
    started_at: str


def create_private(directory: Path) -> None:
    """Create the directory for its owner only; one that exists stays as it is.

    Raises:
        PlatformError: it cannot be created, is no directory, or cannot be written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"cannot use the data directory {directory}: {error.strerror}; choose another"
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PlatformError(
            f"cannot use the data directory {directory}: it is not writable; choose another"
        )


class DirectoryLock:
    """Holds a data directory for this process.

    Raises:
        PlatformError: another platform holds it; the message says its pid.
    """

    def __init__(self, data_dir: Path) -> None:
        try:
            self._descriptor = os.open(
                _lock_path(data_dir), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise PlatformError(
                f"cannot use the data directory {data_dir}: {error.strerror}; choose another"
            ) from error
        if not _try_lock(self._descriptor):
            os.close(self._descriptor)
            running = read_run_file(data_dir)
            who = f"pid {running.pid}, at {running.base_url}" if running else "another process"
            raise PlatformError(
                f"a local platform already runs on {data_dir} ({who}); stop it, or choose another data directory"
            )

    def release(self) -> None:
        """Let the next platform in."""
        os.close(self._descriptor)


def _try_lock(descriptor: int) -> bool:
    for _ in range(10):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        # Whoever only looks (is_locked) holds it for an instant, too.
        time.sleep(0.02)
    return False


def is_locked(data_dir: Path) -> bool:
    """Whether a platform runs on this data directory now."""
    try:
        descriptor = os.open(_lock_path(data_dir), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two processes that look at the same time do not take each other for a platform.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_run_file(data_dir: Path, base_url: str) -> None:
    """Say that this process answers at *base_url*."""
    fresh = _run_path(data_dir).with_suffix(".new")
    content = {
        "pid": os.getpid(),
        "base_url": base_url,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    # A reader sees the old file or the new one, never half of one.
    fresh.replace(_run_path(data_dir))


def read_run_file(data_dir: Path) -> RunFile | None:
    """Return what the last platform wrote; ``None`` when there is nothing to be read."""
    try:
        content: Any = json.loads(_run_path(data_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    match cast("object", content):
        case {"pid": int(pid), "base_url": str(base_url), "started_at": str(started_at)}:
            return RunFile(pid=pid, base_url=base_url, started_at=started_at)
        case _:
            return None


def remove_run_file(data_dir: Path) -> None:
    """Forget the run file at the end of an orderly stop."""
    _run_path(data_dir).unlink(missing_ok=True)


def _lock_path(data_dir: Path) -> Path:
    return data_dir / "platform.lock"


def _run_path(data_dir: Path) -> Path:
    return data_dir / "platform.json"
