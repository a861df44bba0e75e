"""The windows of a ``scheduled`` policy: ``Mon-Fri 08:00-20:00 Europe/Madrid``.

What holds for every window:

* it opens on each of its days at its start and closes at the next end after that; where the end is not later than the
  start, that is on the following day (``Fri 22:00-06:00`` closes on Saturday);
* a range of days may go round the week (``Fri-Mon``);
* the times are those on the wall in its zone: one that the clocks jump over is the moment of the jump (so a window that
  lies inside a jump does not open that day), one that comes twice is the first of the two.
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
# Days and zone are required: that is the only form that the contract is known to take. Every day is `Mon-Sun`.
_WINDOW: Final = re.compile(
    rf"(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?\s+"
    r"(?P<start>[01][0-9]:[0-5][0-9]|2[0-3]:[0-5][0-9])-(?P<end>[01][0-9]:[0-5][0-9]|2[0-3]:[0-5][0-9])\s+"
    r"(?P<zone>[A-Za-z0-9_+\-/]+)"
)
_DAY_LONG: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


@attrs.frozen
class Window:
    """When a scheduled workload runs.

    Args:
        days: the days on which it opens, Monday is 0.
        start: when it opens, in the zone's wall time.
        end: when it closes; not later than *start* means on the following day.
        zone: an IANA time zone, e.g. ``Europe/Madrid``.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: str


def window_problem(text: object) -> str | None:
    """Return what is wrong with the text of a window, to be read after its field's name; ``None`` where nothing is."""
    match = _WINDOW.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return f"must be like 'Mon-Fri 08:00-20:00 Europe/Madrid'; got {text!r}"
    if match["start"] == match["end"]:
        return f"must not end at the minute at which it starts; got {text!r}"
    known = _zones()
    # A machine without a time zone database knows none; that is not the caller's mistake.
    if known and match["zone"] not in known:
        return f"has the time zone {match['zone']!r}, which is not known{did_you_mean(match['zone'], known)}"
    return None


def parse_window(text: str) -> Window:
    """Return the window that a text describes.

    Raises:
        ValidationError: it is not like ``Mon-Fri 08:00-20:00 Europe/Madrid``.
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
    """Say whether the window is open at *now*, which carries its time zone.

    Raises:
        ValidationError: this machine does not know the window's zone.
    """
    return any(opens <= now < closes for opens, closes in _spans(window, now))


def window_next_change(window: Window, now: datetime) -> datetime:
    """Return the first moment after *now* (which carries its time zone) at which the window opens or closes, in UTC.

    Raises:
        ValidationError: this machine does not know the window's zone.
    """
    changes = (moment for span in _spans(window, now) for moment in span if moment > now)
    return next(changes)


def _spans(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield when the window is open, from a span that began before *now* on, in order and apart from each other."""
    zone = _zone(window.zone)
    day = now.astimezone(zone).date() - 2 * _DAY_LONG
    held: tuple[datetime, datetime] | None = None
    # Three weeks: one of a window's days comes every week, and a jump of the clocks takes one of them at most.
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
    # The clocks jump over this time. With the offset from after the jump it is a moment before the jump, with the
    # offset from before it is one after: the jump lies between the two, and jumps are on whole seconds.
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
            f"this machine does not know the time zone {name!r}; "
            "where it has no time zone database, install one: pip install tzdata"
        ) from None
