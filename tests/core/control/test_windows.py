"""When a window is open, in every zone and over every jump of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.control import windows
from inferencekey._core.control.windows import (
    Window,
    parse_window,
    window_next_change,
    window_open,
    window_problem,
)
from inferencekey.errors import ValidationError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (
            "Mon-Fri 08:00-20:00 Europe/Madrid",
            Window(frozenset(range(5)), time(8), time(20), "Europe/Madrid"),
        ),
        ("  Sun 22:00-06:00   UTC ", Window(frozenset({6}), time(22), time(6), "UTC")),
        (
            "Fri-Mon 00:00-23:59 Asia/Tokyo",
            Window(frozenset({4, 5, 6, 0}), time(0), time(23, 59), "Asia/Tokyo"),
        ),
        ("Wed-Wed 01:00-02:00 UTC", Window(frozenset({2}), time(1), time(2), "UTC")),
        ("Tue-Mon 01:00-02:00 UTC", Window(frozenset(range(7)), time(1), time(2), "UTC")),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "08:00-20:00 UTC",
        "Mon 08:00-20:00",
        "Mon,Tue 08:00-20:00 UTC",
        "mon 08:00-20:00 UTC",
        "Mon 8:00-20:00 UTC",
        "Mon 08:00-24:00 UTC",
        "Mon 08:00-20:60 UTC",
        "Mon 08:00-08:00 UTC",
        "Mon 08:00-20:00 Mars/Olympus",
        "Mon 08:00-20:00 UTC UTC",
        "Mon 08:00 - 20:00 UTC",
        "Mon 08:00-20:00 ../../etc/passwd",
        "Mon 0٣:00-20:00 UTC",
    ],
)
def test_rejects_a_wrong_window(text: str) -> None:
    problem = window_problem(text)
    with pytest.raises(ValidationError) as caught:
        parse_window(text)
    assert str(caught.value) == f"validation error: a window {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("08:00-20:00", "must be like 'Mon-Fri 08:00-20:00 Europe/Madrid'; got '08:00-20:00'"),
        (
            "Mon 08:00-08:00 UTC",
            "must not end at the minute at which it starts; got 'Mon 08:00-08:00 UTC'",
        ),
        ("Mon 08:00-20:00 Mars/Olympus", "has the time zone 'Mars/Olympus', which is not known"),
        (
            "Mon 08:00-20:00 Europe/Madird",
            "has the time zone 'Europe/Madird', which is not known; did you mean 'Europe/Madrid'?",
        ),
        (
            "Mon 08:00-20:00 europe/madrid",
            "has the time zone 'europe/madrid', which is not known; did you mean 'Europe/Madrid'?",
        ),
    ],
)
def test_problems_of_a_window(text: str, problem: str) -> None:
    assert window_problem(text) == problem


def test_rejects_a_window_that_is_not_a_string() -> None:
    assert window_problem(None)
    assert window_problem(5)


@pytest.mark.parametrize(
    ("text", "after", "changes"),
    [
        # Madrid is an hour ahead of UTC in winter, two in summer.
        (
            "Mon-Fri 08:00-20:00 Europe/Madrid",
            "2026-03-27 12:00",
            ["2026-03-27 19:00", "2026-03-30 06:00", "2026-03-30 18:00"],
        ),
        (
            "Fri 22:00-06:00 UTC",
            "2026-03-26 12:00",
            ["2026-03-27 22:00", "2026-03-28 06:00", "2026-04-03 22:00"],
        ),
        # 02:00-03:00 of 29 March does not exist there: the jump is at 01:00 UTC.
        (
            "Sun 02:30-03:30 Europe/Madrid",
            "2026-03-28 12:00",
            ["2026-03-29 01:00", "2026-03-29 01:30", "2026-04-05 00:30"],
        ),
        (
            "Sun 01:30-02:30 Europe/Madrid",
            "2026-03-28 12:00",
            ["2026-03-29 00:30", "2026-03-29 01:00", "2026-04-04 23:30"],
        ),
        (
            "Sun 02:10-02:40 Europe/Madrid",
            "2026-03-28 12:00",
            ["2026-04-05 00:10", "2026-04-05 00:40"],
        ),
        (
            "Mon-Sun 02:40-02:20 Europe/Madrid",
            "2026-03-28 12:00",
            ["2026-03-30 00:20", "2026-03-30 00:40"],
        ),
        # 02:00-03:00 of 25 October exists twice: it begins at 00:00 UTC and at 01:00 UTC.
        (
            "Sun 02:15-02:45 Europe/Madrid",
            "2026-10-24 12:00",
            ["2026-10-25 00:15", "2026-10-25 00:45", "2026-11-01 01:15"],
        ),
        (
            "Sun 02:15-03:15 Europe/Madrid",
            "2026-10-24 12:00",
            ["2026-10-25 00:15", "2026-10-25 02:15"],
        ),
        # Samoa had no 30 December 2011, which was a Friday.
        (
            "Fri 08:00-20:00 Pacific/Apia",
            "2011-12-24 12:00",
            ["2012-01-05 18:00", "2012-01-06 06:00"],
        ),
    ],
)
def test_when_it_opens_and_closes(text: str, after: str, changes: list[str]) -> None:
    window, now = parse_window(text), utc(after)
    state = window_open(window, now)
    for expected in changes:
        now = window_next_change(window, now)
        assert now == utc(expected)
        assert window_open(window, now) is not state
        assert window_open(window, now - MINUTE) is state
        state = not state


def test_the_moment_may_be_in_any_zone() -> None:
    window = parse_window("Mon-Fri 08:00-20:00 Europe/Madrid")
    now = datetime(2026, 3, 27, 23, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert window_open(window, now)
    assert window_next_change(window, now) == utc("2026-03-27 19:00")


windows_of = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.sampled_from(
        [
            "UTC",
            "Europe/Madrid",
            "America/New_York",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Asia/Kathmandu",
        ]
    ),
).filter(lambda window: window.start != window.end)
moments = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(windows_of, moments)
def test_the_next_change_is_the_first_moment_that_differs(window: Window, now: datetime) -> None:
    change = window_next_change(window, now)
    state = window_open(window, now)
    assert now < change <= now + timedelta(days=15)
    assert window_open(window, change) is not state
    for part in (1, 2, 3):
        assert window_open(window, now + (change - now) * part / 4) is state
    assert window_open(window, change - timedelta(microseconds=1)) is state


@given(windows_of, moments)
def test_a_window_without_clock_changes_is_open_by_local_time(
    window: Window, now: datetime
) -> None:
    wall = now.astimezone(ZoneInfo(window.zone))
    around = {
        (now + timedelta(hours=12 * step)).astimezone(ZoneInfo(window.zone)).utcoffset()
        for step in range(-5, 6)
    }
    if len(around) > 1:
        return
    at, day = wall.time(), wall.weekday()
    if window.start < window.end:
        expected = day in window.days and window.start <= at < window.end
    else:
        expected = (day in window.days and at >= window.start) or (
            (day - 1) % 7 in window.days and at < window.end
        )
    assert window_open(window, now) is expected


@given(st.sampled_from(DAYS), st.none() | st.sampled_from(DAYS), st.times(), st.times())
def test_a_window_has_the_days_and_times_of_its_text(
    first: str, last: str | None, start: time, end: time
) -> None:
    start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    text = f"{first}{f'-{last}' if last else ''} {start:%H:%M}-{end:%H:%M} UTC"
    assert (window_problem(text) is None) is (start != end)
    if start != end:
        window = parse_window(text)
        assert (window.start, window.end) == (start, end)
        count = (DAYS.index(last or first) - DAYS.index(first)) % 7 + 1
        assert len(window.days) == count
        assert DAYS.index(first) in window.days


@given(st.text(max_size=40) | st.from_regex(r"(Mon|Sun)(-Fri)? [0-9:\-]{11} [A-Za-z/]*"))
def test_any_string_is_a_window_or_is_rejected(text: str) -> None:
    try:
        parse_window(text)
    except ValidationError:
        assert window_problem(text)
    else:
        assert window_problem(text) is None


def test_a_computer_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_zones", frozenset)
    assert window_problem("Mon 08:00-20:00 Mars/Olympus") is None, "not the caller's mistake"
    with pytest.raises(
        ValidationError, match="does not know the time zone 'Mars/Olympus'; .*pip install tzdata"
    ):
        window_open(parse_window("Mon 08:00-20:00 Mars/Olympus"), utc("2026-03-27 12:00"))


def test_a_window_without_a_day_never_opens() -> None:
    assert not window_open(Window(frozenset(), time(8), time(20), "UTC"), utc("2026-03-27 12:00"))
