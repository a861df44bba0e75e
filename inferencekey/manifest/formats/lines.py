"""From positions in a text to lines."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["LineNumbers"]


class LineNumbers:
    """The line of each position in a text.

    Args:
        text: the text; its lines end with ``\\n``.
    """

    def __init__(self, text: str) -> None:
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def at(self, position: int) -> int:
        """Return the line, counted from 1, of a position, counted from 0."""
        return bisect_right(self._starts, position)
