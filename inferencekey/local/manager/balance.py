"""Which of several engines gets the next call."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["least_busy"]


def least_busy(outstanding: Sequence[int], turn: int) -> int:
    """Return the index of the engine with the fewest calls.

    Of several such engines it is the first from *turn* on, going around.

    Args:
        outstanding: the number of calls of each engine; at least one engine.
        turn: the index where the search begins.
    """
    count = len(outstanding)
    order = [(turn + step) % count for step in range(count)]
    return min(order, key=outstanding.__getitem__)
