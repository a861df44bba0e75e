"""Which deadlines hold for one call."""

from __future__ import annotations

from typing import cast

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models import Timeouts

__all__ = ["for_stream", "for_unary"]


def for_unary(call: Timeouts | float | None, client: Timeouts | float | None) -> Timeouts:
    """Return the deadlines of a unary call: a number of seconds is the total."""
    given = client if call is None else call
    if given is None:
        return Timeouts()
    if isinstance(given, Timeouts):
        return given
    total = _seconds(given)
    return attrs.evolve(Timeouts(), total=total, first_byte=total, read=total)


def for_stream(call: Timeouts | float | None, client: Timeouts | float | None) -> Timeouts:
    """Return the deadlines of a stream: a number of seconds limits each wait, never the whole."""
    given = client if call is None else call
    if given is None:
        return Timeouts(total=None)
    if isinstance(given, Timeouts):
        return attrs.evolve(given, total=None)
    wait = _seconds(given)
    return Timeouts(connect=wait, first_byte=wait, read=wait, keepalive=wait, total=None)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValidationError(f"validation error: timeout must be more than 0 seconds, or a Timeouts; got {value!r}")
    return cast("float", value)
