"""The process that runs the platform of a data directory: find it, and stop it."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.data_dir import RunFile, is_locked, read_run_file
from inferencekey.local.errors import PlatformError
from inferencekey.local.status import platform_status

__all__ = ["STOP_SECONDS", "find_platform", "stop_platform"]

STOP_SECONDS: Final = 30.0
"""The longest time to wait for a stop.

Requests in progress get 3 s, and engines 5 s before they are killed.
"""

POLL_SECONDS: Final = 0.05
CLOCK_SLACK_SECONDS: Final = 2.0


def find_platform(data_dir: Path) -> RunFile | None:
    """Return the platform that serves *data_dir*; ``None`` if no platform does."""
    if not is_locked(data_dir):
        return None
    run = read_run_file(data_dir)
    return run if run is not None and _process(run) is not None else None


def stop_platform(data_dir: Path, timeout: float = STOP_SECONDS) -> RunFile | None:
    """Stop the platform of *data_dir*, and wait until it and its engines have ended.

    Args:
        data_dir: the platform's data directory.
        timeout: seconds to wait for the end.

    Returns:
        The platform that was stopped; ``None`` if none was running.

    Raises:
        PlatformError: the process belongs to another user, or has not ended in time.
    """
    deadline = time.monotonic() + timeout
    run = _wait_until_serving(data_dir, deadline)
    process = None if run is None else _process(run)
    if run is None or process is None:
        return None
    try:
        os.kill(run.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise PlatformError(
            f"cannot stop the local platform on {data_dir}: process {run.pid} belongs to another "
            "user"
        ) from error
    while _is_alive(process) or platform_status(data_dir).engines:
        if time.monotonic() > deadline:
            raise PlatformError(
                f"the local platform on {data_dir} (pid {run.pid}) has not stopped within "
                f"{timeout:g} s; end it with: kill -9 {run.pid}"
            )
        time.sleep(POLL_SECONDS)
    return run


def _wait_until_serving(data_dir: Path, deadline: float) -> RunFile | None:
    """Return the platform of the directory.

    A platform that is starting or stopping holds the directory and has no run file: wait for it.
    """
    while is_locked(data_dir):
        run = find_platform(data_dir)
        if run is not None:
            return run
        if time.monotonic() > deadline:
            raise PlatformError(
                f"a process holds the data directory {data_dir}, but no local platform serves it; "
                "stop that process"
            )
        time.sleep(POLL_SECONDS)
    return None


def _process(run: RunFile) -> psutil.Process | None:
    """Return the process that wrote the run file; ``None`` if the pid is now another process's.

    A killed platform leaves its run file behind, and the system may give its pid to a new process.
    That process is younger than the file.
    """
    try:
        written = datetime.fromisoformat(run.started_at).timestamp()
        process = psutil.Process(run.pid)
        return process if process.create_time() <= written + CLOCK_SLACK_SECONDS else None
    except (psutil.Error, ValueError, OverflowError):
        return None


def _is_alive(process: psutil.Process) -> bool:
    try:
        # A zombie has ended, but its parent has not read its exit code yet.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
