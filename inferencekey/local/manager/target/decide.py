"""From a policy, the time and the load to the number of engines that there must be.

Pure: everything that a decision depends on is an argument.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import Final

import attrs

from inferencekey._core.control.windows import window_next_change, window_open
from inferencekey.local.manager.target.cron import last_fire, next_fire
from inferencekey.local.manager.target.policy import (
    Autoscaling,
    Fixed,
    Policy,
    ScheduledCron,
    ScheduledWindow,
)
from inferencekey.local.manager.target.scaling import Scaling, replicas_needed, scale

__all__ = [
    "CRON_IDLE_SECONDS",
    "MAX_RECHECK_SECONDS",
    "Closed",
    "Desired",
    "Observation",
    "decide",
    "load_level",
]

CRON_IDLE_SECONDS: Final = 300.0
"""How long an engine that a cron expression started is kept after it fired, or the last call."""

MAX_RECHECK_SECONDS: Final = 60.0
"""A schedule is evaluated at least this often: the time of day may jump, a machine may sleep."""


@attrs.frozen
class Closed:
    """No engine runs now, because the schedule says so.

    Args:
        message: one line for people.
        opens: when an engine will run; ``None``: never.
    """

    message: str
    opens: datetime | None


@attrs.frozen(kw_only=True)
class Observation:
    """The facts about a workload that a decision depends on.

    Args:
        now: the time of day, aware.
        monotonic: seconds of the monotonic clock.
        load: calls in progress or waiting.
        quiet_since: when the last call ended, in seconds of the monotonic clock; ``None`` when
            there was no call yet.
        slots: calls that one engine computes at the same time; ``None``: not known yet.
    """

    now: datetime
    monotonic: float
    load: int = 0
    quiet_since: float | None = None
    slots: int | None = None


@attrs.frozen(kw_only=True)
class Desired:
    """How many engines there must be.

    Args:
        replicas: the number.
        closed: why it is none, if the schedule says so.
        recheck: seconds after which the number may change although nothing happens; ``None``:
            never.
        scaling: what the next decision begins with.
    """

    replicas: int
    closed: Closed | None = None
    recheck: float | None = None
    scaling: Scaling = attrs.field(factory=Scaling)


def decide(policy: Policy, seen: Observation, before: Desired) -> Desired:
    """Decide how many engines there must be.

    Args:
        policy: the workload's policy.
        seen: the facts.
        before: the last decision.
    """
    match policy:
        case Fixed(replicas):
            return Desired(replicas=replicas)
        case ScheduledWindow():
            return _decide_window(policy, seen)
        case ScheduledCron():
            return _decide_cron(policy, seen, before)
        case Autoscaling(low, high):
            needed = replicas_needed(seen.load, seen.slots)
            scaling, recheck = scale(
                before.scaling, needed, low, high, seen.monotonic, seen.quiet_since
            )
            return Desired(replicas=scaling.wanted, recheck=recheck, scaling=scaling)


def load_level(policy: Policy, load: int, slots: int | None) -> int:
    """Return the part of the load that the decision depends on.

    As long as it does not change, a change of the load cannot change the decision.
    """
    match policy:
        case Autoscaling():
            return replicas_needed(load, slots)
        case ScheduledCron():
            return min(load, 1)
        case _:
            return 0


def _decide_window(policy: ScheduledWindow, seen: Observation) -> Desired:
    change = window_next_change(policy.window, seen.now)
    recheck = _seconds_until(change, seen.now)
    if window_open(policy.window, seen.now):
        return Desired(replicas=1, recheck=recheck)
    starts = _local_time(change, policy.window.zone)
    message = f"outside its window ({policy.text}); starts {starts}"
    return Desired(replicas=0, closed=Closed(message, change), recheck=recheck)


def _decide_cron(policy: ScheduledCron, seen: Observation, before: Desired) -> Desired:
    fired = last_fire(policy.cron, seen.now)
    left = 0.0
    if fired is not None:
        left = CRON_IDLE_SECONDS - (seen.now - fired).total_seconds()
    # Calls keep a running engine; they do not start one.
    if before.replicas:
        if seen.load:
            return Desired(replicas=1)
        if seen.quiet_since is not None:
            left = max(left, seen.quiet_since + CRON_IDLE_SECONDS - seen.monotonic)
    if left > 0:
        return Desired(replicas=1, recheck=min(left, MAX_RECHECK_SECONDS))
    fires = next_fire(policy.cron, seen.now)
    if fires is None:
        closed = Closed(f"its schedule ({policy.cron}) never starts it", None)
        return Desired(replicas=0, closed=closed)
    starts = _local_time(fires, "UTC")
    message = f"between two starts of its schedule ({policy.cron}); starts {starts}"
    return Desired(
        replicas=0, closed=Closed(message, fires), recheck=_seconds_until(fires, seen.now)
    )


def _seconds_until(moment: datetime, now: datetime) -> float:
    return min(max((moment - now).total_seconds(), 0.0), MAX_RECHECK_SECONDS)


def _local_time(moment: datetime, zone: str) -> str:
    try:
        local: tzinfo = zoneinfo.ZoneInfo(zone)
    # A container may have no time zones; the message then has the time in UTC.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        local, zone = UTC, "UTC"
    return f"{moment.astimezone(local):%a %Y-%m-%d %H:%M} {zone}"
