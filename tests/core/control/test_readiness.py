"""The end of a readiness stream, and the contract's waits."""

from __future__ import annotations

import pytest

from inferencekey._core.control.readiness import (
    DROPS,
    LOG_LINES,
    check_log_range,
    describe,
    is_final,
    not_in_time,
    not_ready,
    reconnect_wait,
)
from inferencekey.errors import ValidationError
from inferencekey.models import Phase, ReadinessEvent


def test_only_ready_and_error_end_the_stream() -> None:
    assert [phase for phase in Phase if is_final(ReadinessEvent(phase))] == [
        Phase.READY,
        Phase.ERROR,
    ]
    assert is_final(ReadinessEvent("ready"))
    assert not is_final(ReadinessEvent("READY"))
    assert not is_final(ReadinessEvent("done"))


def test_the_waits_are_the_contracts() -> None:
    assert [reconnect_wait(drops) for drops in range(1, 8)] == [1, 2, 4, 5, 5, 5, 5]
    assert reconnect_wait(10**6) == 5


def test_the_statuses_that_are_drops() -> None:
    assert frozenset({502, 503, 504}) == DROPS


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ReadinessEvent(Phase.READY), "ready"),
        (ReadinessEvent(Phase.PROVISIONING, "renting a GPU", 5), "provisioning renting a GPU"),
        (ReadinessEvent("new", "m", step="2/3"), "new [2/3] m"),
    ],
)
def test_an_event_as_one_line(event: ReadinessEvent, line: str) -> None:
    assert describe(event) == line


SEEN = [ReadinessEvent(Phase.BOOTSTRAPPING, "loading"), ReadinessEvent(Phase.ERROR, "no memory")]


def test_a_readiness_error_has_the_reason_and_the_end_of_the_log() -> None:
    error = not_ready("bot", SEEN, ())
    assert str(error) == "api error: workload 'bot' failed to become ready: no memory"
    assert (error.events, error.log) == (tuple(SEEN), ())
    error = not_ready("bot", SEEN, ["a", "", "\x1b[31mred\tx\x1b[0m  "])
    assert str(error) == (
        "api error: workload 'bot' failed to become ready: no memory\n"
        "The end of its engine's log:\n  | a\n  | \n  | red     x"
    )
    assert error.log == ("a", "", "\x1b[31mred\tx\x1b[0m  ")


def test_a_readiness_timeout_has_the_last_event() -> None:
    error = not_in_time("bot", 1.5, SEEN[:1], None, ["a"])
    assert isinstance(error, TimeoutError)
    assert str(error) == (
        "api error: workload 'bot' was not ready within 1.5 s (it is bootstrapping: loading)\n"
        "The end of its engine's log:\n  | a"
    )
    assert (error.events, error.log) == (tuple(SEEN[:1]), ("a",))
    assert str(not_in_time("bot", None, [], ValueError("reset"), ())) == (
        "api error: workload 'bot' was not ready in time (the platform has sent no event; the "
        "last connection failed: reset)"
    )


def test_a_log_in_a_message_has_a_limit() -> None:
    text = str(not_ready("bot", SEEN, [f"{n} " + "x" * 1000 for n in range(100)]))
    lines = text.split("\n")[2:]
    assert len(lines) == LOG_LINES
    assert lines[-1].startswith("  | 99 x")
    assert {len(line) for line in lines} == {204}
    assert lines[-1].endswith("…")


def test_the_parts_of_a_log_that_can_be_requested() -> None:
    check_log_range(1, None)
    check_log_range(1000, 0)
    for lines in (0, 1001, True, 1.5, "100", None):
        with pytest.raises(ValidationError, match="lines must be an integer from 1 to 1000; got "):
            check_log_range(lines, None)
    for after in (-1, True, 1.5, "0"):
        with pytest.raises(ValidationError, match="after must be the next of an earlier log; got "):
            check_log_range(100, after)
