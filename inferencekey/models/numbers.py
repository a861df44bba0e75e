"""Is a value an integer or a number, and within its bounds? Python's ``bool`` is neither here."""

from __future__ import annotations

from math import isfinite
from typing import TypeGuard

from inferencekey.errors import ValidationError

__all__ = ["checked_integer", "integer_problem", "is_integer", "is_number", "number_problem"]


def is_integer(value: object) -> TypeGuard[int]:
    """Whether *value* is an integer. ``True``, which Python counts as one, is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether *value* is an ``int`` or a ``float``, NaN and the infinities included."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def integer_problem(
    value: object, *, at_least: int | None = None, at_most: int | None = None
) -> str | None:
    """Return what is wrong, to be read after the value's name; ``None`` if nothing is."""
    too_low = at_least is not None and is_integer(value) and value < at_least
    too_high = at_most is not None and is_integer(value) and value > at_most
    if is_integer(value) and not too_low and not too_high:
        return None
    return f"must be an integer{_bounds(at_least, at_most)}; got {value!r}"


def number_problem(
    value: object, *, at_least: float | None = None, at_most: float | None = None
) -> str | None:
    """Return what is wrong, to be read after the value's name; NaN and the infinities are wrong."""
    if is_number(value) and isfinite(value):
        too_low = at_least is not None and value < at_least
        too_high = at_most is not None and value > at_most
        if not too_low and not too_high:
            return None
    if is_number(value) and not isfinite(value):
        return f"must be a finite number{_bounds(at_least, at_most)}; got {value!r}"
    return f"must be a number{_bounds(at_least, at_most)}; got {value!r}"


def checked_integer(
    value: object, name: str, *, at_least: int | None = None, at_most: int | None = None
) -> int:
    """Return *value* if it is an integer within the bounds.

    Raises:
        ValidationError: it is not; the message begins with *name*.
    """
    problem = integer_problem(value, at_least=at_least, at_most=at_most)
    if problem is not None or not is_integer(value):
        raise ValidationError.of(f"{name} {problem}")
    return value


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f" of at most {high}"
    return f" of at least {low}" if high is None else f" from {low} to {high}"
