"""How a readiness stream is followed: what ends it, what is a drop, and how long to wait before the next connection.

The waits are the contract's: 1 s, 2 s, 4 s, then 5 s each, starting over after any event.
"""

from __future__ import annotations

from typing import Final

from inferencekey.models import Phase, ReadinessEvent

__all__ = ["DROPS", "describe", "is_final", "reconnect_wait"]

DROPS: Final = frozenset({502, 503, 504})
"""Answers that are a drop of the stream, not its end."""

_WAITS: Final = (1.0, 2.0, 4.0)


def is_final(event: ReadinessEvent) -> bool:
    """Whether the event ends the stream."""
    return event.phase in (Phase.READY, Phase.ERROR)


def reconnect_wait(drops: int) -> float:
    """Return the seconds before the next connection.

    Args:
        drops: drops in a row without an event between, from 1.
    """
    return _WAITS[drops - 1] if drops <= len(_WAITS) else 5.0


def describe(event: ReadinessEvent) -> str:
    """Return the event as one line for people."""
    parts = [str(event.phase)]
    if event.step:
        parts.append(f"[{event.step}]")
    if event.message:
        parts.append(event.message)
    return " ".join(parts)
