"""How many engines a load gets: within bounds, more of them soon, fewer of them late."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey.local.manager.target.scaling import (
    DOWN_SECONDS,
    IDLE_SECONDS,
    UP_SECONDS,
    Scaling,
    replicas_needed,
    scale,
)

BOUNDS = st.tuples(st.integers(0, 4), st.integers(1, 6)).map(lambda pair: (pair[0], max(pair)))
LOADS = st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1000)), min_size=1, max_size=30)


@given(st.integers(0, 1000), st.integers(1, 300))
def test_as_many_engines_as_the_calls_need_and_no_more(load: int, slots: int) -> None:
    engines = replicas_needed(load, slots)
    assert engines * slots >= load
    assert engines == 0 or (engines - 1) * slots < load


def test_one_engine_is_needed_while_slots_are_unknown() -> None:
    assert [replicas_needed(load, None) for load in (0, 1, 99)] == [0, 1, 1]
    assert replicas_needed(3, 0) == 3, "an engine with no slots counts as one slot"


@attrs.define
class Run:
    """A workload over time, with a decision at each moment that the last one asked for."""

    low: int
    high: int
    at: Scaling = attrs.field(factory=Scaling)
    now: float = 0.0
    most: int = 0
    fewest: int = 99

    def look(self, need: int) -> float | None:
        self.at, look = scale(self.at, need, self.low, self.high, self.now)
        assert look is None or look > 0, (
            "who asks to be looked at again at once is looked at for ever"
        )
        assert self.low <= self.at.wanted <= self.high
        self.most, self.fewest = max(self.most, self.at.wanted), min(self.fewest, self.at.wanted)
        return look

    def stay(self, need: int, seconds: float) -> None:
        end = self.now + seconds
        while (look := self.look(need)) is not None and self.now + look <= end:
            self.now += look
        self.now = end
        self.look(need)


@given(BOUNDS, LOADS)
def test_the_number_stays_in_bounds_and_settles(
    bounds: tuple[int, int], loads: list[tuple[int, float]]
) -> None:
    low, high = bounds
    run = Run(low, high)
    for load, seconds in loads:
        run.stay(replicas_needed(load, 3), seconds)
    load = loads[-1][0]
    run.stay(replicas_needed(load, 3), UP_SECONDS + 3 * DOWN_SECONDS + IDLE_SECONDS)
    assert run.at.wanted == min(max(replicas_needed(load, 3), low), high)
    assert run.look(replicas_needed(load, 3)) is None, "nothing is left to wait for"


@given(BOUNDS, LOADS)
def test_each_call_has_an_engine(bounds: tuple[int, int], loads: list[tuple[int, float]]) -> None:
    run = Run(*bounds)
    for load, seconds in loads:
        run.stay(replicas_needed(load, 3), seconds)
        assert run.at.wanted >= min(load, 1)


@given(st.floats(0, UP_SECONDS - 0.01))
def test_a_short_peak_starts_no_engine(seconds: float) -> None:
    run = Run(1, 5)
    run.stay(1, 10)
    run.stay(4, seconds)
    run.stay(1, 1)
    assert run.most == 1


@given(st.floats(0, DOWN_SECONDS - 0.01))
def test_a_short_dip_stops_no_engine(seconds: float) -> None:
    run = Run(1, 5)
    run.stay(4, 10)
    run.fewest = 99
    run.stay(1, seconds)
    run.stay(4, 1)
    assert run.fewest == 4


def test_the_peak_of_the_last_minute_is_kept() -> None:
    run = Run(0, 5)
    run.stay(5, 10)
    for need in (1, 3, 1):
        run.stay(need, DOWN_SECONDS / 4)
    run.stay(1, DOWN_SECONDS / 4)
    assert run.at.wanted == 3
    run.stay(1, DOWN_SECONDS)
    assert run.at.wanted == 1


def test_silence_counts_from_the_last_call() -> None:
    run = Run(0, 5)
    run.stay(3, 10)
    run.stay(0, DOWN_SECONDS)
    assert run.at.wanted == 1
    run.stay(0, IDLE_SECONDS - DOWN_SECONDS - 1)
    assert run.at.wanted == 1
    run.stay(0, 1)
    assert run.at.wanted == 0


@pytest.mark.parametrize("engines", [1, 3])
def test_a_call_between_two_decisions_breaks_the_silence(engines: int) -> None:
    at = Scaling(engines, under_since=0.0)
    at, _ = scale(at, 0, 0, 5, IDLE_SECONDS, called=IDLE_SECONDS - 10)
    assert at.wanted == 1
    at, look = scale(at, 0, 0, 5, IDLE_SECONDS + 1, called=IDLE_SECONDS - 10)
    assert at.wanted == 1
    assert look is not None


def test_new_bounds_apply_immediately() -> None:
    at = Scaling(5, under_since=0.0, peak=5)
    assert scale(at, 0, 0, 2, 1.0)[0].wanted == 2
    assert scale(Scaling(), 0, 2, 3, 1.0)[0].wanted == 2
