"""What ends a readiness stream, and the contract's waits."""

from __future__ import annotations

import pytest

from inferencekey._core.readiness import DROPS, describe, is_final, reconnect_wait
from inferencekey.models import Phase, ReadinessEvent


def test_only_ready_and_error_end_the_stream() -> None:
    assert [phase for phase in Phase if is_final(ReadinessEvent(phase))] == [Phase.READY, Phase.ERROR]
    assert is_final(ReadinessEvent("ready"))
    assert not is_final(ReadinessEvent("READY"))
    assert not is_final(ReadinessEvent("done"))


def test_the_waits_are_the_contracts() -> None:
    assert [reconnect_wait(drops) for drops in range(1, 8)] == [1, 2, 4, 5, 5, 5, 5]
    assert reconnect_wait(10**6) == 5


def test_the_answers_that_are_drops() -> None:
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
