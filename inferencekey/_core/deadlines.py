"""The deadlines of one call, from its own and the client's ``timeout=``."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models import Timeouts
from inferencekey.models.numbers import is_number

__all__ = ["for_stream", "for_unary"]


def for_unary(call: Timeouts | float | None, client: Timeouts | float | None) -> Timeouts:
    """Return the deadlines of a unary call. A number of seconds limits the whole call."""
    given = client if call is None else call
    if given is None:
        return _DEFAULT
    if isinstance(given, Timeouts):
        return given
    return _in_all(_seconds(given))


def for_stream(call: Timeouts | float | None, client: Timeouts | float | None) -> Timeouts:
    """Return the deadlines of a stream. A number of seconds limits each wait, not the stream."""
    given = client if call is None else call
    if given is None:
        return _DEFAULT_STREAM
    if isinstance(given, Timeouts):
        return _without_total(given)
    return _each(_seconds(given))


_DEFAULT: Final = Timeouts()
_DEFAULT_STREAM: Final = Timeouts(total=None)


# Most calls have the same few deadlines, and making the checked values costs more than the rest of
# the work before a request.
@lru_cache(64)
def _in_all(total: float) -> Timeouts:
    return attrs.evolve(_DEFAULT, total=total, first_byte=total, read=total)


@lru_cache(64)
def _each(wait: float) -> Timeouts:
    return Timeouts(connect=wait, first_byte=wait, read=wait, keepalive=wait, total=None)


@lru_cache(64)
def _without_total(given: Timeouts) -> Timeouts:
    return attrs.evolve(given, total=None)


def _seconds(value: object) -> float:
    if not is_number(value) or not value > 0:
        raise ValidationError.of(
            f"timeout must be a number of seconds above 0, or a Timeouts; got {value!r}"
        )
    return value
