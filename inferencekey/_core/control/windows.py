"""The windows of a ``scheduled`` policy: ``Mon-Fri 08:00-20:00 Europe/Madrid``.

Rules for every window:

* It opens on each of its days at its start, and closes at the first end after that. If the end is
  not later than the start, it closes on the following day: ``Fri 22:00-06:00`` closes on Saturday.
* A range of days may continue into the next week: ``Fri-Mon`` has four days.
* The times are local times in the window's time zone. When the clocks are changed, a time that does
  not exist is the moment of the change, so a window that lies inside the missing hour does not open
  on that day; a time that exists twice is the first of the two.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models.nearest import did_you_mean

__all__ = ["Window", "parse_window", "window_next_change", "window_open", "window_problem"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = "|".join(_DAYS)
_TIME: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# The days and the zone are required: the contract shows no other form. Every day is `Mon-Sun`.
_WINDOW: Final = re.compile(
    rf"(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?\s+"
    rf"(?P<start>{_TIME})-(?P<end>{_TIME})\s+"
    r"(?P<zone>[A-Za-z0-9_+\-/]+)"
)
_DAY_LONG: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


@attrs.frozen
class Window:
    """When a scheduled workload runs.

    Args:
        days: the days on which it opens; Monday is 0.
        start: when it opens, in the zone's wall time.
        end: when it closes; on the following day if it is not later than *start*.
        zone: an IANA time zone, e.g. ``Europe/Madrid``.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: str


def window_problem(text: object) -> str | None:
    """Return what is wrong, to be read after the field's name; ``None`` if nothing is."""
    match = _WINDOW.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return f"must be like 'Mon-Fri 08:00-20:00 Europe/Madrid'; got {text!r}"
    if match["start"] == match["end"]:
        return f"must not end at the minute at which it starts; got {text!r}"
    known = _zones()
    # A computer without a time zone database knows no zone, which is not the caller's mistake.
    if known and match["zone"] not in known:
        meant = did_you_mean(match["zone"], known)
        return f"has the time zone {match['zone']!r}, which is not known{meant}"
    return None


def parse_window(text: str) -> Window:
    """Return the window that a text describes.

    Raises:
        ValidationError: it is not of the form ``Mon-Fri 08:00-20:00 Europe/Madrid``.
    """
    match = _WINDOW.fullmatch(text.strip())
    problem = window_problem(text)
    if match is None or problem is not None:
        raise ValidationError.of(f"a window {problem}")
    first = _DAYS.index(match["first"])
    last = _DAYS.index(match["last"] or match["first"])
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    return Window(
        days, time.fromisoformat(match["start"]), time.fromisoformat(match["end"]), match["zone"]
    )


def window_open(window: Window, now: datetime) -> bool:
    """Whether the window is open at *now*, which has a time zone.

    Raises:
        ValidationError: this computer does not know the window's zone.
    """
    return any(opens <= now < closes for opens, closes in _spans(window, now))


def window_next_change(window: Window, now: datetime) -> datetime:
    """Return when the window opens or closes next after *now*, which has a time zone, in UTC.

    Raises:
        ValidationError: this computer does not know the window's zone.
    """
    changes = (moment for span in _spans(window, now) for moment in span if moment > now)
    return next(changes)


def _spans(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans in which the window is open, beginning with one that started before *now*.

    They are in order, and two that touch are one.
    """
    zone = _zone(window.zone)
    day = now.astimezone(zone).date() - 2 * _DAY_LONG
    held: tuple[datetime, datetime] | None = None
    # Three weeks are enough: every week has one of the days, and a clock change removes at most
    # one of them.
    for _ in range(21):
        if day.weekday() in window.days:
            opens = _moment(day, window.start, zone)
            closes = _moment(
                day if window.end > window.start else day + _DAY_LONG, window.end, zone
            )
            if held is not None and held[1] == opens < closes:
                held = held[0], closes
            elif opens < closes:
                if held is not None:
                    yield held
                held = opens, closes
        day += _DAY_LONG
    if held is not None:
        yield held


def _moment(day: date, at: time, zone: zoneinfo.ZoneInfo) -> datetime:
    local = datetime.combine(day, at, tzinfo=zone)
    after = local.astimezone(UTC)
    if after.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return after
    # The clocks skip this time (PEP 495 calls it a gap). With the offset from after the change it
    # is a moment before the change, and with the offset from before it is a moment after. So the
    # change lies between the two, and a binary search finds it: changes are on whole seconds.
    before = local.replace(fold=1).astimezone(UTC)
    offset = after.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError.of(
            f"this computer does not know the time zone {name!r}; "
            "if it has no time zone database, install one: pip install tzdata"
        ) from None
