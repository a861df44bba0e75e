"""How the number of engines follows the load: up quickly, down slowly, to none after silence.

Pure: the time and the load are arguments.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["DOWN_SECONDS", "IDLE_SECONDS", "UP_SECONDS", "Scaling", "replicas_needed", "scale"]

UP_SECONDS: Final = 2.0
"""More engines are started when they have been needed for this long; the first starts at once."""

DOWN_SECONDS: Final = 60.0
"""Engines are stopped when fewer have been enough for this long."""

IDLE_SECONDS: Final = 300.0
"""The last engine is stopped when there has been no call for this long."""


@attrs.frozen
class Scaling:
    """The state of a workload's scaling.

    Args:
        wanted: how many engines there must be now.
        over_since: since when more are needed; seconds of the monotonic clock.
        under_since: since when fewer are needed.
        peak: the most that were needed since *under_since*.
    """

    wanted: int = 0
    over_since: float | None = None
    under_since: float | None = None
    peak: int = 0


def replicas_needed(load: int, slots: int | None) -> int:
    """Return how many engines a load needs.

    Args:
        load: calls in progress or waiting.
        slots: how many calls one engine computes at the same time; ``None``: not known, because no
            engine has run yet.
    """
    if slots is None:
        return min(load, 1)
    return -(-load // max(1, slots))  # rounded up


def scale(
    was: Scaling, need: int, low: int, high: int, now: float, called: float | None = None
) -> tuple[Scaling, float | None]:
    """Return the new state, and the seconds after which it changes if nothing else does.

    Args:
        was: the state so far.
        need: engines that the load needs.
        low: the minimum.
        high: the maximum.
        now: seconds of the monotonic clock.
        called: when the last call ended. A short call may have begun and ended between two
            decisions, and then no *need* has counted it.
    """
    if called is not None and was.under_since is not None and called > was.under_since:
        was = _count_call(was, called)
    wanted = min(max(was.wanted, low), high)
    need = min(max(need, low), high)
    if need > wanted:
        return _grow(was, wanted, need, now)
    if need < wanted:
        return _shrink(was, wanted, need, now)
    return Scaling(wanted), None


def _count_call(was: Scaling, called: float) -> Scaling:
    """Return the state with a call that ended since fewer engines are needed.

    One engine was needed until then. A single engine has been silent since that moment; of several
    engines, one must stay.
    """
    if was.wanted == 1:
        return Scaling(1, under_since=called)
    return attrs.evolve(was, peak=max(was.peak, 1))


def _grow(was: Scaling, wanted: int, need: int, now: float) -> tuple[Scaling, float | None]:
    since = now if was.over_since is None else was.over_since
    wanted = max(wanted, 1)  # the first engine does not wait for UP_SECONDS
    if need == wanted:
        return Scaling(wanted), None
    left = since + UP_SECONDS - now
    if left <= 0:
        return Scaling(need), None
    return Scaling(wanted, over_since=since), left


def _shrink(was: Scaling, wanted: int, need: int, now: float) -> tuple[Scaling, float | None]:
    if was.under_since is None:
        since, peak = now, need
    else:
        since, peak = was.under_since, min(max(was.peak, need), wanted)
    target = peak
    if peak == 0 and wanted > 1:
        target = 1  # the last one stays for IDLE_SECONDS
    pause = DOWN_SECONDS if target else IDLE_SECONDS
    left = since + pause - now
    if left > 0:
        return Scaling(wanted, under_since=since, peak=peak), left
    if need == target:
        return Scaling(target), None
    # Even fewer may be enough. Silence counts from its beginning, everything else from now.
    under_since = None if peak else since
    return _shrink(Scaling(target, under_since=under_since), target, need, now)
