"""How the number of engines follows the load: quickly up, slowly down, to none after a long silence.

Pure: the time and the load are arguments.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["DOWN_SECONDS", "IDLE_SECONDS", "UP_SECONDS", "Scaling", "needed", "scale"]

UP_SECONDS: Final = 2.0
"""How long more must be needed before more are started; the first one is started at once."""

DOWN_SECONDS: Final = 60.0
"""How long fewer must have been enough before some are stopped."""

IDLE_SECONDS: Final = 300.0
"""How long there must have been no call at all before the last one is stopped."""


@attrs.frozen
class Scaling:
    """Where the scaling of a workload is.

    Args:
        wanted: engines that it is to have now.
        over_since: since when more are needed; seconds of the monotonic clock.
        under_since: since when fewer are needed.
        peak: the most that were needed since then.
    """

    wanted: int = 0
    over_since: float | None = None
    under_since: float | None = None
    peak: int = 0


def needed(load: int, slots: int | None) -> int:
    """Return how many engines a load needs.

    Args:
        load: calls in progress or waiting.
        slots: how many calls one engine computes at once; ``None``: not known before the first one runs.
    """
    return min(load, 1) if slots is None else -(-load // max(1, slots))


def scale(
    was: Scaling, need: int, low: int, high: int, now: float, called: float | None = None
) -> tuple[Scaling, float | None]:
    """Return where the scaling is now, and in how many seconds it moves by itself if nothing else changes.

    Args:
        was: where it was.
        need: engines that the load needs.
        low: never fewer.
        high: never more.
        now: seconds of the monotonic clock.
        called: when the last call ended; it may have been too short to be part of any *need*.
    """
    if called is not None and was.under_since is not None and called > was.under_since:
        # One engine was needed until then. Where there is one, the silence begins there; of more, one has to stay.
        was = (
            Scaling(1, under_since=called)
            if was.wanted == 1
            else attrs.evolve(was, peak=max(was.peak, 1))
        )
    wanted = min(max(was.wanted, low), high)
    need = min(max(need, low), high)
    if need > wanted:
        return _grow(was, wanted, need, now)
    if need < wanted:
        return _shrink(was, wanted, need, now)
    return Scaling(wanted), None


def _grow(was: Scaling, wanted: int, need: int, now: float) -> tuple[Scaling, float | None]:
    since = now if was.over_since is None else was.over_since
    wanted = max(wanted, 1)  # who calls a workload at rest does not wait to see whether it is meant
    if need == wanted:
        return Scaling(wanted), None
    left = since + UP_SECONDS - now
    if left <= 0:
        return Scaling(need), None
    return Scaling(wanted, over_since=since), left


def _shrink(was: Scaling, wanted: int, need: int, now: float) -> tuple[Scaling, float | None]:
    since, peak = (
        (now, need)
        if was.under_since is None
        else (was.under_since, min(max(was.peak, need), wanted))
    )
    target = peak if peak or wanted == 1 else 1  # the last one stays for longer
    left = since + (DOWN_SECONDS if target else IDLE_SECONDS) - now
    if left > 0:
        return Scaling(wanted, under_since=since, peak=peak), left
    if need == target:
        return Scaling(target), None
    # Fewer still may be enough: silence counts from where it began, anything else from now.
    return _shrink(Scaling(target, under_since=None if peak else since), target, need, now)
