"""The cron expressions of a ``scheduled`` policy: what is wrong with one, in words.

Five fields, each a list of values, ranges and steps; months and days of the week also by name. Where both the day of the
month and the day of the week are restricted, either is enough, as in Debian's cron: then a date that no month has does no
harm, because the days of the week still come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["LONGEST", "cron_problem"]

LONGEST: Final = 1000
"""Characters: room for every value of every field. A manager reads it again and again, in its event loop."""


@attrs.frozen
class _Field:
    what: str
    low: int
    high: int
    names: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def number(self, text: str) -> int | None:
        """Return the value that a text means; ``None`` where it means none."""
        value = int(text) if text.isascii() and text.isdigit() else self.names.get(text)
        return value if value is not None and self.low <= value <= self.high else None

    @property
    def range(self) -> str:
        named = list(self.names)
        return f"{self.low} to {self.high}" + (f" or {named[0]} to {named[-1]}" if named else "")


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
    """Return what is wrong with a cron expression, to be read after its field's name; ``None`` where nothing is."""
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
    # Debian's cron asks whether a field begins with a star, and so does the local platform's.
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    if not either and min(days) > max(_LENGTHS[month - 1] for month in months):
        return f"never comes: no month that it names has a day {min(days)}; got {_short(value)}"
    return None


def _values(field: _Field, text: str) -> frozenset[int]:
    """Return all values that a field's text means.

    Raises:
        ValueError: it is none; the text says why.
    """
    return frozenset(value for item in text.split(",") for value in _item(field, item))


def _item(field: _Field, item: str) -> range:
    span, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        raise ValueError(
            f"must have an integer of at least 1 after the '/' in its {field.what} {item!r}"
        )
    first, dash, last = ("", "", "") if span == "*" else span.partition("-")
    low = field.low if span == "*" else field.number(first)
    # A single value with a step goes on to the highest.
    high = (
        field.high if span == "*" or (slash and not dash) else field.number(last if dash else first)
    )
    if low is None or high is None:
        raise ValueError(f"must have {field.range} as its {field.what}, not {item!r}")
    if low > high:
        raise ValueError(f"must have a range that goes upwards as its {field.what}, not {item!r}")
    return range(low, high + 1, int(step) if slash else 1)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
