"""Wait, retry or stop: decided from what happened, nothing else.

Full-jitter exponential waits; ``Retry-After`` (seconds, a date, or ``retry-after-ms``) is honoured up to a cap; a
budget per client keeps an outage from multiplying the load.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import attrs

from inferencekey.models import RetryPolicy

__all__ = ["Budget", "Failure", "Outcome", "decide", "retry_after"]

Failure = Literal["not_sent", "stale", "dropped"]
"""No answer came. ``not_sent``: no connection was made; ``stale``: a pooled connection had died before it took the
request; ``dropped``: the connection died after the request was sent."""

RETRIED: Final = frozenset({408, 429, 502, 503, 504})
UNPROCESSED: Final = frozenset({429, 503})
"""Answers that say the request was not carried out, so that even one that must not run twice may be sent again."""


@attrs.frozen
class Outcome:
    """What came of one attempt: a status, or how it failed without one."""

    status: int | None = None
    failure: Failure | None = None
    retry_after: float | None = None


class Budget:
    """A bucket of retries that a client's calls share.

    Args:
        policy: how much fits in, and what each call gives back.
    """

    __slots__ = ("_gain", "_level", "_size")

    def __init__(self, policy: RetryPolicy) -> None:
        self._size = policy.budget
        self._gain = policy.budget_gain
        self._level = policy.budget

    @property
    def level(self) -> float:
        """How many retries are in hand."""
        return self._level

    def called(self) -> None:
        """A call begins."""
        self._level = min(self._size, self._level + self._gain)

    def take(self) -> bool:
        """Take one retry out, if there is one."""
        if self._level < 1:
            return False
        self._level -= 1
        return True


def decide(
    policy: RetryPolicy,
    outcome: Outcome,
    *,
    method: str,
    attempt: int,
    jitter: float,
    remaining: float | None,
    non_idempotent: bool = False,
) -> float | None:
    """Return the seconds to wait before the next attempt, or ``None`` to stop.

    Args:
        policy: the client's policy.
        outcome: what came of the attempt.
        method: the HTTP method; 500 is retried for GET only.
        attempt: which attempt this was, from 1.
        jitter: a random number in [0, 1).
        remaining: seconds to the caller's deadline; ``None`` for no deadline.
        non_idempotent: the request must not be carried out twice: retry only what certainly was not.
    """
    if outcome.failure == "stale" and not non_idempotent:
        return 0.0 if attempt < policy.max_attempts + 1 else None
    if attempt >= policy.max_attempts or not _retryable(outcome, method, non_idempotent):
        return None
    if outcome.retry_after is not None:
        if outcome.retry_after > policy.retry_after_cap:
            return None
        # Jitter on top: callers that were told the same moment should not all come back at it.
        wait = outcome.retry_after + jitter * min(policy.base, 1.0)
    else:
        wait = jitter * min(policy.cap, policy.base * 2 ** min(attempt - 1, 30))
    if remaining is not None and wait >= remaining:
        return None
    return wait


def _retryable(outcome: Outcome, method: str, non_idempotent: bool) -> bool:
    if outcome.failure is not None:
        return outcome.failure == "not_sent" or not non_idempotent
    if non_idempotent:
        return outcome.status in UNPROCESSED
    return outcome.status in RETRIED or (outcome.status == 500 and method == "GET")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that an answer asks to wait, or ``None``.

    Args:
        headers: the answer's headers, looked up without regard to case.
        now: seconds since the epoch, for the date form.
    """
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (value := _number(milliseconds)) is not None:
        return value / 1000
    text = headers.get("Retry-After")
    if text is None:
        return None
    if (value := _number(text)) is not None:
        return value
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" and the asctime form: HTTP's dates are always UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _number(text: str) -> float | None:
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
