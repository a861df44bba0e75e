"""Killing the engines that a platform left behind when it was killed itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.records import EngineRecord

__all__ = ["kill_group", "reap", "still_running"]

REAP_SECONDS: Final = 5.0

# On Linux, psutil counts the start time from a boot time that moves when the clock is corrected.
# The kernel does not give a pid to another process within a second.
CLOCK_SLACK_SECONDS: Final = 1.0


def reap(records: Iterable[EngineRecord]) -> list[EngineRecord]:
    """Kill the process groups of the engines that still run, and return their records.

    A pid that now belongs to another process is left alone. Blocks until the engines are gone,
    5 seconds at most.
    """
    found: list[tuple[EngineRecord, psutil.Process]] = []
    for record in records:
        process = still_running(record)
        if process is not None:
            found.append((record, process))
            kill_group(process.pid)
    psutil.wait_procs([process for _, process in found], timeout=REAP_SECONDS)
    return [record for record, _ in found]


def still_running(record: EngineRecord) -> psutil.Process | None:
    """Return the recorded process; ``None`` when it is gone, or its pid belongs to another one."""
    try:
        # The kernel uses a pid again, so the pid alone does not identify a process.
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.create_time) > CLOCK_SLACK_SECONDS:
            return None
        # Every engine starts as the leader of its group, so a process that is not a leader is not
        # an engine.
        if os.getpgid(record.pid) != record.pid:
            return None
    except (psutil.Error, ValueError, OverflowError, OSError):
        return None
    return process


def kill_group(leader: int, signal_number: int = signal.SIGKILL) -> None:
    """Signal every process of a group; a group that is gone is not an error."""
    # macOS reports EPERM, not ESRCH, for a group of which only the unreaped leader is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal_number)
