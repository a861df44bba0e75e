"""From a policy, the time and the load to how many engines there are to be.

Pure: what there is to know is an argument.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, tzinfo
from typing import Final

import attrs

from inferencekey._core.control.windows import window_next_change, window_open
from inferencekey.local.manager.cron import last_fire, next_fire
from inferencekey.local.manager.policy import Always, AtTimes, InWindow, Policy, WithLoad
from inferencekey.local.manager.scaling import Scaling, needed, scale

__all__ = [
    "CRON_IDLE_SECONDS",
    "LONGEST_LOOK_SECONDS",
    "Closed",
    "Desired",
    "Seen",
    "desire",
    "pressure",
]

CRON_IDLE_SECONDS: Final = 300.0
"""How long an engine that a cron expression started is kept after the fire, and after the last call."""

LONGEST_LOOK_SECONDS: Final = 60.0
"""The time of day may jump, a machine may sleep: a schedule is looked at again at least this often."""


@attrs.frozen
class Closed:
    """A schedule says that nothing runs now.

    Args:
        message: one line for people.
        opens: when something will; ``None``: never.
    """

    message: str
    opens: datetime | None


@attrs.frozen(kw_only=True)
class Seen:
    """What there is to know about a workload.

    Args:
        now: the time of day, aware.
        monotonic: seconds of the monotonic clock.
        load: calls in progress or waiting.
        quiet_since: when the last call ended, in seconds of the monotonic clock; ``None`` when there was none yet.
        slots: calls that one engine computes at once; ``None``: not known yet.
    """

    now: datetime
    monotonic: float
    load: int = 0
    quiet_since: float | None = None
    slots: int | None = None


@attrs.frozen(kw_only=True)
class Desired:
    """How many engines there are to be.

    Args:
        replicas: so many.
        closed: why none, where a schedule says so.
        look: seconds until it may be another number though nothing happens; ``None``: never.
        scaling: what the next decision begins with.
    """

    replicas: int
    closed: Closed | None = None
    look: float | None = None
    scaling: Scaling = attrs.field(factory=Scaling)


def desire(policy: Policy, seen: Seen, before: Desired) -> Desired:
    """Decide how many engines there are to be.

    Args:
        policy: the workload's.
        seen: what there is to know.
        before: the last decision.
    """
    match policy:
        case Always(replicas):
            return Desired(replicas=replicas)
        case InWindow():
            return _in_window(policy, seen)
        case AtTimes():
            return _at_times(policy, seen, before)
        case WithLoad(low, high):
            need = needed(seen.load, seen.slots)
            scaling, look = scale(before.scaling, need, low, high, seen.monotonic, seen.quiet_since)
            return Desired(replicas=scaling.wanted, look=look, scaling=scaling)


def pressure(policy: Policy, load: int, slots: int | None) -> int:
    """Return a number that changes whenever a change of the load may be one of the decision."""
    match policy:
        case WithLoad():
            return needed(load, slots)
        case AtTimes():
            return min(load, 1)
        case _:
            return 0


def _in_window(policy: InWindow, seen: Seen) -> Desired:
    change = window_next_change(policy.window, seen.now)
    look = _look(change, seen.now)
    if window_open(policy.window, seen.now):
        return Desired(replicas=1, look=look)
    message = f"outside its window ({policy.text}); starts {_words(change, policy.window.zone)}"
    return Desired(replicas=0, closed=Closed(message, change), look=look)


def _at_times(policy: AtTimes, seen: Seen, before: Desired) -> Desired:
    fired = last_fire(policy.cron, seen.now)
    left = 0.0 if fired is None else CRON_IDLE_SECONDS - (seen.now - fired).total_seconds()
    if before.replicas:
        if seen.load:
            return Desired(replicas=1)
        if seen.quiet_since is not None:
            left = max(left, seen.quiet_since + CRON_IDLE_SECONDS - seen.monotonic)
    if left > 0:
        return Desired(replicas=1, look=min(left, LONGEST_LOOK_SECONDS))
    fires = next_fire(policy.cron, seen.now)
    if fires is None:
        return Desired(
            replicas=0, closed=Closed(f"its schedule ({policy.cron}) never starts it", None)
        )
    message = f"between two starts of its schedule ({policy.cron}); starts {_words(fires, 'UTC')}"
    return Desired(replicas=0, closed=Closed(message, fires), look=_look(fires, seen.now))


def _look(at: datetime, now: datetime) -> float:
    return min(max((at - now).total_seconds(), 0.0), LONGEST_LOOK_SECONDS)


def _words(at: datetime, zone: str) -> str:
    try:
        where: tzinfo = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        where, zone = UTC, "UTC"
    return f"{at.astimezone(where):%a %Y-%m-%d %H:%M} {zone}"
