"""Whether a failed request is sent again, and after how long. A pure decision, without a clock.

The waits are exponential with full jitter. ``Retry-After`` (seconds, a date, or ``retry-after-ms``)
is honoured up to a limit. A budget per client prevents retries from multiplying the load during an
outage.
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
"""Why there is no response.

``not_sent``: no connection was made. ``stale``: a pooled connection had been closed before it took
the request. ``dropped``: the connection was closed after the request was sent.
"""

RETRIED: Final = frozenset({408, 429, 502, 503, 504})
UNPROCESSED: Final = frozenset({429, 503})
"""Statuses of a request that was not carried out, so even a non-idempotent one may be retried."""


@attrs.frozen
class Outcome:
    """The outcome of one attempt: a status, or the reason why there is no response."""

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
        """How many retries are left."""
        return self._level

    def called(self) -> None:
        """Report that a call begins, which gives some of a retry back."""
        self._level = min(self._size, self._level + self._gain)

    def take(self) -> bool:
        """Take one retry, and return whether there was one."""
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
        outcome: the outcome of the attempt.
        method: the HTTP method; 500 is retried for GET only.
        attempt: the number of the attempt, from 1.
        jitter: a random number in [0, 1).
        remaining: seconds to the caller's deadline; ``None`` for no deadline.
        non_idempotent: the request must not be carried out twice, so it is retried only if it
            certainly was not carried out.
    """
    if outcome.failure == "stale" and not non_idempotent:
        return 0.0 if attempt < policy.max_attempts + 1 else None
    if attempt >= policy.max_attempts or not _retryable(outcome, method, non_idempotent):
        return None
    if outcome.retry_after is not None:
        if outcome.retry_after > policy.retry_after_cap:
            return None
        # Add jitter: callers that got the same time from the server should not all return then.
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
    """Return the seconds that a response asks to wait, or ``None``.

    Args:
        headers: the response's headers; lookups must ignore case.
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
    # Python returns no time zone for "-0000" and the asctime form; HTTP's dates are always in UTC
    # (RFC 9110, section 5.6.7).
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _number(text: str) -> float | None:
    try:
        value = float(text.strip())
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
