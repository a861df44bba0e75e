"""The deadlines and the retries of a client."""

from __future__ import annotations

from typing import Any

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models.numbers import checked_integer, is_number

__all__ = ["RetryPolicy", "Timeouts"]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and (not is_number(value) or not value > 0):
        raise ValidationError.of(
            f"{attribute.name} must be a number of seconds above 0, or None; got {value!r}"
        )


@attrs.frozen(kw_only=True)
class Timeouts:
    """Deadlines in seconds; ``None`` turns one off.

    Args:
        connect: to get a connection: DNS, TCP and TLS.
        first_byte: from the end of the request to the first byte of the response. The default is
            more than the 60 s for which a gateway may hold a call whose workload is starting.
        read: the longest time without a byte inside a response.
        total: the whole of a unary call with its retries. A stream has no total.
        keepalive: how long a stream may consist of keep-alive comments alone.
    """

    connect: float | None = attrs.field(default=10.0, validator=_positive)
    first_byte: float | None = attrs.field(default=120.0, validator=_positive)
    read: float | None = attrs.field(default=60.0, validator=_positive)
    total: float | None = attrs.field(default=600.0, validator=_positive)
    keepalive: float | None = attrs.field(default=300.0, validator=_positive)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed request is sent again.

    Retried are connections that fail before a response, the statuses 408, 429, 502, 503 and 504,
    and 500 for GET. A stream is retried only before its first event. Nothing is retried after the
    caller's deadline.

    Args:
        max_attempts: how often a request is sent at most; 1 means no retry.
        base: seconds; the n-th wait is drawn from 0 to ``base * 2**(n-1)``.
        cap: seconds; the longest such wait.
        retry_after_cap: seconds; a longer ``Retry-After`` ends the call instead.
        budget: how many retries a client can save up; each retry takes 1.
        budget_gain: the part of a retry that each call adds to the budget. It is small, so that an
            outage does not multiply the load.
    """

    max_attempts: int = attrs.field(default=3)
    base: float = attrs.field(default=0.5)
    cap: float = attrs.field(default=8.0)
    retry_after_cap: float = attrs.field(default=60.0)
    budget: float = attrs.field(default=10.0)
    budget_gain: float = attrs.field(default=0.2)

    def __attrs_post_init__(self) -> None:
        checked_integer(self.max_attempts, "max_attempts", at_least=1)
        for name in ("base", "cap", "retry_after_cap", "budget", "budget_gain"):
            value: float = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise ValidationError.of(f"{name} must be a number of at least 0; got {value!r}")
