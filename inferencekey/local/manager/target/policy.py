"""A workload's execution policy, as the manager follows it."""

from __future__ import annotations

from typing import Any, Final

import attrs

from inferencekey._core.control.windows import Window, parse_window
from inferencekey.local.defaults import usable_cpus
from inferencekey.local.records import StoredWorkload
from inferencekey.models import ExecutionPolicy

__all__ = [
    "Autoscaling",
    "Fixed",
    "Policy",
    "ScheduledCron",
    "ScheduledWindow",
    "default_max_replicas",
    "policy_of",
]

MIN_REPLICA_LIMIT: Final = 4


@attrs.frozen
class Fixed:
    """``fixed``: a number of engines, at all times.

    Args:
        replicas: how many run on this machine.
        requested: how many the policy requests.
    """

    replicas: int
    requested: int


@attrs.frozen
class ScheduledWindow:
    """``scheduled`` with a window: one engine, inside the window.

    Args:
        window: when it runs.
        text: the window as the policy has it.
    """

    window: Window
    text: str


@attrs.frozen
class ScheduledCron:
    """``scheduled`` with a cron expression: each time it fires, one engine starts.

    The engine stops when there has been no call for a while.
    """

    cron: str


@attrs.frozen
class Autoscaling:
    """``autoscaling``: as many engines as the calls need, within limits.

    Args:
        min_replicas: at least this many; with 0, all engines stop when there are no calls.
        max_replicas: at most this many on this machine.
        requested: the maximum that the policy requests.
    """

    min_replicas: int
    max_replicas: int
    requested: int


Policy = Fixed | ScheduledWindow | ScheduledCron | Autoscaling


def default_max_replicas() -> int:
    """Return how many engines of one workload this machine runs: one per processor, at least 4."""
    return max(MIN_REPLICA_LIMIT, usable_cpus())


def policy_of(workload: StoredWorkload, max_replicas: int) -> Policy:
    """Return the policy of a workload; without one it is one engine at all times.

    Args:
        workload: as stored; its policy was checked before.
        max_replicas: how many engines of one workload this machine runs.
    """
    config: dict[str, Any] = dict(workload.execution_policy_config or {})
    match workload.execution_policy:
        case ExecutionPolicy.SCHEDULED if "window" in config:
            text = " ".join(config["window"].split())
            return ScheduledWindow(parse_window(config["window"]), text)
        case ExecutionPolicy.SCHEDULED:
            return ScheduledCron(" ".join(config["cron"].split()))
        case ExecutionPolicy.AUTOSCALING:
            requested = config["max_workers"]
            highest = min(requested, max_replicas)
            return Autoscaling(min(config["min_workers"], highest), highest, requested)
        case _:
            requested = config.get("replicas", 1)
            return Fixed(min(requested, max_replicas), requested)
