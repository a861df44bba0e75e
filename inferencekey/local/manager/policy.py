"""A workload's execution policy, as the manager follows it."""

from __future__ import annotations

from typing import Any, Final

import attrs

from inferencekey._core.control.windows import Window, parse_window
from inferencekey.local.defaults import usable_cpus
from inferencekey.local.records import StoredWorkload
from inferencekey.models import ExecutionPolicy

__all__ = ["Always", "AtTimes", "InWindow", "Policy", "WithLoad", "most_replicas", "policy_of"]

LEAST_CAP: Final = 4


@attrs.frozen
class Always:
    """``fixed``: so many engines, at all times.

    Args:
        replicas: how many run here.
        asked: how many the policy says.
    """

    replicas: int
    asked: int


@attrs.frozen
class InWindow:
    """``scheduled`` with a window: one engine, inside it."""

    window: Window
    text: str


@attrs.frozen
class AtTimes:
    """``scheduled`` with a cron expression: one engine from each fire on, until nobody has called for a while."""

    cron: str


@attrs.frozen
class WithLoad:
    """``autoscaling``: from *low* to *high* engines, as many as the calls need.

    Args:
        low: never fewer; 0 is none while nobody calls.
        high: never more, here.
        asked: the most that the policy allows.
    """

    low: int
    high: int
    asked: int


Policy = Always | InWindow | AtTimes | WithLoad


def most_replicas() -> int:
    """Return how many engines of one workload this machine runs: one for each processor, and at least 4."""
    return max(LEAST_CAP, usable_cpus())


def policy_of(workload: StoredWorkload, most: int) -> Policy:
    """Return the policy of a workload; without one it is one engine at all times.

    Args:
        workload: as stored; its policy was checked before.
        most: engines of one workload that this machine runs.
    """
    config: dict[str, Any] = dict(workload.execution_policy_config or {})
    match workload.execution_policy:
        case ExecutionPolicy.SCHEDULED if "window" in config:
            return InWindow(parse_window(config["window"]), " ".join(config["window"].split()))
        case ExecutionPolicy.SCHEDULED:
            return AtTimes(" ".join(config["cron"].split()))
        case ExecutionPolicy.AUTOSCALING:
            high = min(config["max_workers"], most)
            return WithLoad(min(config["min_workers"], high), high, config["max_workers"])
        case _:
            asked = config.get("replicas", 1)
            return Always(min(asked, most), asked)
