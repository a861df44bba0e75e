"""The data directory: its lock, and the file that names the platform that runs on it.

Only one platform runs on a data directory. The lock belongs to the kernel, which releases it when
the process ends, even if it is killed. The run file holds the platform's process id and URL. A
killed platform leaves its run file behind, so readers check the lock as well.
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

from inferencekey.local.defaults import default_data_dir
from inferencekey.local.errors import PlatformError

__all__ = [
    "DirectoryLock",
    "RunFile",
    "create_private",
    "is_locked",
    "read_run_file",
    "remove_run_file",
    "resolve_data_dir",
    "write_run_file",
]


@attrs.frozen(kw_only=True)
class RunFile:
    """The platform that runs on a data directory: its process, its URL and its start (UTC)."""

    pid: int
    base_url: str
    started_at: str


def resolve_data_dir(data_dir: Path | str | None) -> Path:
    """Return the data directory as an absolute path; ``None`` stands for this user's."""
    if data_dir is None:
        return default_data_dir()
    return Path(data_dir).expanduser().absolute()


def create_private(directory: Path) -> None:
    """Create the directory with permissions for its owner only, unless it exists.

    Raises:
        PlatformError: it cannot be created, is not a directory, or is not writable.
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
    """The lock of a data directory, held by this process.

    Raises:
        PlatformError: another platform holds it; the message contains its process id.
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
            holder = "another process"
            run_file = read_run_file(data_dir)
            if run_file is not None:
                holder = f"pid {run_file.pid}, at {run_file.base_url}"
            raise PlatformError(
                f"a local platform already runs on {data_dir} ({holder}); "
                "stop it, or choose another data directory"
            )

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def _try_lock(descriptor: int) -> bool:
    for _ in range(10):
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        # `is_locked` of another process may hold a shared lock for a moment, so one failure does
        # not mean that a platform runs.
        time.sleep(0.02)
    return False


def is_locked(data_dir: Path) -> bool:
    """Whether a platform is running on this data directory."""
    try:
        descriptor = os.open(_lock_path(data_dir), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A shared lock, because two processes may ask at the same moment.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_run_file(data_dir: Path, base_url: str) -> None:
    """Write the run file: this process serves the platform at *base_url*."""
    new = _run_path(data_dir).with_suffix(".new")
    content = {
        "pid": os.getpid(),
        "base_url": base_url,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
    # Renaming is atomic, so a reader never sees an incomplete file.
    new.replace(_run_path(data_dir))


def read_run_file(data_dir: Path) -> RunFile | None:
    """Return the content of the run file; ``None`` if it is missing or invalid."""
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
    """Delete the run file."""
    _run_path(data_dir).unlink(missing_ok=True)


def _lock_path(data_dir: Path) -> Path:
    return data_dir / "platform.lock"


def _run_path(data_dir: Path) -> Path:
    return data_dir / "platform.json"
