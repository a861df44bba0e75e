"""Which of several engines gets the next call."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["least_busy"]


def least_busy(outstanding: Sequence[int], turn: int) -> int:
    """Return the position of the engine with the fewest calls; of several such, the first from *turn* on, around.

    Args:
        outstanding: the calls of each engine; at least one engine.
        turn: where to begin to look.
    """
    count = len(outstanding)
    first = turn % count
    return min(((first + step) % count for step in range(count)), key=outstanding.__getitem__)
