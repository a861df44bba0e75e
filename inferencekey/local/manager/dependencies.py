"""What all workloads of a platform share."""

from __future__ import annotations

import logging

import attrs

from inferencekey.local.background import Background
from inferencekey.local.clock import Clock
from inferencekey.local.engines.engine import Choose

__all__ = ["Dependencies"]


@attrs.frozen(kw_only=True)
class Dependencies:
    """What all workloads of a platform share.

    Args:
        tasks: runs the platform's tasks.
        choose: chooses the engine of a workload.
        clock: measures schedules, idle times and drains.
        log: receives unexpected errors.
        drain_seconds: how long calls may still take when their engine is to stop.
        max_replicas: how many engines of one workload run on this machine.
    """

    tasks: Background
    choose: Choose
    clock: Clock
    log: logging.Logger
    drain_seconds: float
    max_replicas: int
