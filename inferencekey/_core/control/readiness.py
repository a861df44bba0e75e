"""How a readiness stream is followed: what ends it, what is a drop, how long to wait before the next connection, and
what is said when it ends badly.

The waits are the contract's: 1 s, 2 s, 4 s, then 5 s each, starting over after any event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from inferencekey.errors import LOG_HEADING, ReadinessError, ReadinessTimeout, ValidationError
from inferencekey.models import Phase, ReadinessEvent
from inferencekey.models.numbers import checked_integer, integer_problem

__all__ = [
    "DROPS",
    "LOG_LINES",
    "check_log_range",
    "describe",
    "is_final",
    "not_in_time",
    "not_ready",
    "reconnect_wait",
]

DROPS: Final = frozenset({502, 503, 504})
"""Answers that are a drop of the stream, not its end."""

LOG_LINES: Final = 20
"""Lines of the engine's log that an error carries."""

_WAITS: Final = (1.0, 2.0, 4.0)

_LINE: Final = 200
"""Characters of one of the log's lines in a message."""


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


def not_ready(slug: str, events: Sequence[ReadinessEvent], log: Sequence[str]) -> ReadinessError:
    """Return the error of a workload whose last event is of the phase ``error``."""
    message = f"workload {slug!r} failed to become ready: {events[-1].message}"
    return ReadinessError.of(message + _log(log), events=events, log=log)


def not_in_time(
    slug: str,
    seconds: float | None,
    events: Sequence[ReadinessEvent],
    trouble: Exception | None,
    log: Sequence[str],
) -> ReadinessTimeout:
    """Return the error of a workload that was waited for in vain.

    Args:
        slug: which.
        seconds: how long.
        events: what was heard of it.
        trouble: why there was no connection at the end.
        log: the last lines of its engine's log.
    """
    state = (
        f"it is {events[-1].phase}: {events[-1].message}" if events else "nothing was heard of it"
    )
    if trouble is not None:
        state += f"; the last connection failed: {trouble}"
    within = "in time" if seconds is None else f"within {seconds:g} s"
    message = f"workload {slug!r} was not ready {within} ({state})"
    return ReadinessTimeout.of(message + _log(log), events=events, log=log)


def _log(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return LOG_HEADING + "".join(f"\n  | {_shown(line)}" for line in lines[-LOG_LINES:])


def _shown(line: str) -> str:
    # Engines colour their lines: what moves a cursor has no place in a message.
    line = "".join(c if c.isprintable() else " " for c in line).rstrip()
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def check_log_range(lines: object, after: object) -> None:
    """Check what of a log is asked for.

    Raises:
        ValidationError: *lines* is no whole number from 1 to 1000, or *after* none from 0.
    """
    checked_integer(lines, "lines", at_least=1, at_most=1000)
    if after is not None and integer_problem(after, at_least=0) is not None:
        raise ValidationError.of(f"after must be what an earlier log gave as next; got {after!r}")
