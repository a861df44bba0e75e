"""Ending the engines that a platform left behind when it was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil  # type: ignore[import-untyped, unused-ignore]

from inferencekey.local.records import EngineRecord

__all__ = ["kill_group", "reap"]

REAP_SECONDS = 5.0

# On Linux the start time is counted from a boot time that follows corrections of the clock.
# A pid does not come round within a second.
CLOCK_SLACK_SECONDS = 1.0


def reap(records: Iterable[EngineRecord]) -> list[EngineRecord]:
    """Kill the process groups of the engines that still run, and return their records.

    A pid that has come to belong to another process is left alone. Blocks until they are gone, 5 s at most.
    """
    found = [
        (record, process) for record in records if (process := still_running(record)) is not None
    ]
    for _, process in found:
        kill_group(process.pid)
    psutil.wait_procs([process for _, process in found], timeout=REAP_SECONDS)
    return [record for record, _ in found]


def still_running(record: EngineRecord) -> psutil.Process | None:
    """The recorded process, if it is the one that has this pid now."""
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.create_time) <= CLOCK_SLACK_SECONDS
        # Every engine is started as the leader of its group: one that is not, is not ours.
        return process if same and os.getpgid(record.pid) == record.pid else None
    except (psutil.Error, ValueError, OverflowError, OSError):
        return None


def kill_group(leader: int, signal_number: int = signal.SIGKILL) -> None:
    """Signal every process of a group; one that is gone is not an error."""
    # macOS answers EPERM, not ESRCH, for a group of which only the unreaped leader is left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal_number)
