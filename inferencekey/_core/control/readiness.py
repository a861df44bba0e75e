"""How a readiness stream is followed: what ends it, when to connect again, and its errors.

The waits before a new connection are the contract's: 1 s, 2 s, 4 s, then 5 s each, and from the
start again after any event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from inferencekey.errors import LOG_HEADING, ReadinessError, ReadinessTimeout, ValidationError
from inferencekey.models import Phase, ReadinessEvent
from inferencekey.models.numbers import checked_integer, integer_problem
from inferencekey.printable import one_line, printable, without_escape_sequences

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
"""Statuses that count as a dropped connection, after which the client connects again."""

LOG_LINES: Final = 20
"""How many lines of the engine's log an error has."""

_WAITS: Final = (1.0, 2.0, 4.0)

_LINE: Final = 200
"""The longest line of the log in a message, in characters."""


def is_final(event: ReadinessEvent) -> bool:
    """Whether the event ends the stream."""
    return event.phase in (Phase.READY, Phase.ERROR)


def reconnect_wait(drops: int) -> float:
    """Return the seconds before the next connection.

    Args:
        drops: the number of drops since the last event, at least 1.
    """
    return _WAITS[drops - 1] if drops <= len(_WAITS) else 5.0


def describe(event: ReadinessEvent) -> str:
    """Return the event as one line of text."""
    parts = [str(event.phase)]
    if event.step:
        parts.append(f"[{event.step}]")
    if event.message:
        parts.append(event.message)
    return one_line(" ".join(parts))


def not_ready(slug: str, events: Sequence[ReadinessEvent], log: Sequence[str]) -> ReadinessError:
    """Return the error of a workload whose last event has the phase ``error``."""
    message = f"workload {slug!r} failed to become ready: {one_line(events[-1].message)}"
    return ReadinessError.of(message + _log(log), events=events, log=log)


def not_in_time(
    slug: str,
    seconds: float | None,
    events: Sequence[ReadinessEvent],
    trouble: Exception | None,
    log: Sequence[str],
) -> ReadinessTimeout:
    """Return the error of a workload that was not ready before the timeout.

    Args:
        slug: the workload.
        seconds: the timeout; ``None`` if another deadline ended the wait.
        events: the events that were received.
        trouble: the error of the last connection, if there was none at the end.
        log: the last lines of its engine's log.
    """
    state = (
        one_line(f"it is {events[-1].phase}: {events[-1].message}")
        if events
        else "the platform has sent no event"
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
    # Engines colour their output: escape sequences would move the cursor of a terminal.
    line = printable(without_escape_sequences(line).expandtabs().rstrip())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def check_log_range(lines: object, after: object) -> None:
    """Check which part of a log is requested.

    Raises:
        ValidationError: *lines* is not an integer from 1 to 1000, or *after* is not an integer of
            at least 0.
    """
    checked_integer(lines, "lines", at_least=1, at_most=1000)
    if after is not None and integer_problem(after, at_least=0) is not None:
        raise ValidationError.of(f"after must be the next of an earlier log; got {after!r}")
