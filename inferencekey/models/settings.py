"""How patient a client is: deadlines and retries."""

from __future__ import annotations

from typing import Any

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models.numbers import checked_integer, is_number

__all__ = ["RetryPolicy", "Timeouts"]


def _positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and (not is_number(value) or not value > 0):
        raise ValidationError.of(
            f"{attribute.name} must be more than 0 seconds, or None; got {value!r}"
        )


@attrs.frozen(kw_only=True)
class Timeouts:
    """Deadlines in seconds; ``None`` turns one off.

    Args:
        connect: to have a connection: DNS, TCP, TLS.
        first_byte: from the request sent to the answer's first byte. Above the 60 s a gateway may hold a cold call.
        read: the longest silence between bytes.
        total: the whole of a unary call, its retries included. A stream has no total.
        keepalive: how long keep-alive comments alone count as life on a stream.
    """

    connect: float | None = attrs.field(default=10.0, validator=_positive)
    first_byte: float | None = attrs.field(default=120.0, validator=_positive)
    read: float | None = attrs.field(default=60.0, validator=_positive)
    total: float | None = attrs.field(default=600.0, validator=_positive)
    keepalive: float | None = attrs.field(default=300.0, validator=_positive)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed request is sent again.

    Retried: connection failures before an answer, 408, 429, 502, 503, 504, and 500 for GET. A stream is retried only
    before its first event. Nothing is retried past the caller's deadline.

    Args:
        max_attempts: how often a request is tried in all; 1 means no retry.
        base: seconds; the n-th wait is drawn from 0 to ``base * 2**(n-1)``.
        cap: seconds; the longest such wait.
        retry_after_cap: seconds; a ``Retry-After`` above it ends the call instead.
        budget: how many retries a client may have in hand; each retry takes 1.
        budget_gain: what each call gives back, so that an outage cannot multiply the load.
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
                raise ValidationError.of(
                    f"{name} must be a number that is not negative; got {value!r}"
                )
