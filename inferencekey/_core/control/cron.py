"""The cron expressions of a ``scheduled`` policy, and the problems in one.

An expression has five fields. Each field is a list of values, ranges and steps; months and days of
the week may also be given by name. If both the day of the month and the day of the week are
restricted, a moment that matches either of them matches, as in Debian's cron. A date that does not
exist is then harmless, because the days of the week still match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["LONGEST", "cron_problem"]

LONGEST: Final = 1000
"""The longest expression, in characters: enough for every value of every field.

There is a limit because a manager parses the expression repeatedly, in its event loop.
"""


@attrs.frozen
class _Field:
    what: str
    low: int
    high: int
    names: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def number(self, text: str) -> int | None:
        """Return the value of a text; ``None`` if it is not a value of this field."""
        value = int(text) if text.isascii() and text.isdigit() else self.names.get(text)
        return value if value is not None and self.low <= value <= self.high else None

    @property
    def range(self) -> str:
        named = list(self.names)
        numbers = f"{self.low} to {self.high}"
        return f"{numbers} or {named[0]} to {named[-1]}" if named else numbers


_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, {name: index for index, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 7, {name: index for index, name in enumerate(_DAYS)}),
)
_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_problem(value: object) -> str | None:
    """Return what is wrong, to be read after the field's name; ``None`` if nothing is."""
    if not isinstance(value, str) or len(value.split()) != len(_FIELDS):
        return f"must be five fields like '0 2 * * *'; got {_short(value)}"
    if len(value) > LONGEST:
        return f"must not be longer than {LONGEST} characters; got {len(value)}"
    texts = value.lower().split()
    found: list[frozenset[int]] = []
    for field, text in zip(_FIELDS, texts, strict=True):
        try:
            found.append(_values(field, text))
        except ValueError as error:
            return f"{error}; got {_short(value)}"
    _, _, days, months, _ = found
    # Debian's cron checks whether a field begins with a star, and the local platform does the same.
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    if not either and min(days) > max(_LENGTHS[month - 1] for month in months):
        return f"never matches: none of its months has a day {min(days)}; got {_short(value)}"
    return None


def _values(field: _Field, text: str) -> frozenset[int]:
    """Return every value that a field's text allows.

    Raises:
        ValueError: the text is not valid; the message gives the reason.
    """
    return frozenset(value for item in text.split(",") for value in _item(field, item))


def _item(field: _Field, item: str) -> range:
    span, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        raise ValueError(
            f"must have an integer of at least 1 after the '/' in its {field.what} {item!r}"
        )
    low, high = _span(field, span, has_step=bool(slash))
    if low is None or high is None:
        raise ValueError(f"must have {field.range} as its {field.what}, not {item!r}")
    if low > high:
        raise ValueError(f"must have a range from low to high as its {field.what}, not {item!r}")
    return range(low, high + 1, int(step) if slash else 1)


def _span(field: _Field, text: str, *, has_step: bool) -> tuple[int | None, int | None]:
    """Return the lowest and the highest value of a span; ``None`` for one that is not a value."""
    if text == "*":
        return field.low, field.high
    first, dash, last = text.partition("-")
    low = field.number(first)
    if dash:
        return low, field.number(last)
    # A single value with a step is a range to the highest value: `5/15` is `5-59/15`.
    return low, field.high if has_step else low


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
