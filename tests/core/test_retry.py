"""Wait, retry or stop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey._core.retry import Budget, Outcome, decide, retry_after
from inferencekey.models import RetryPolicy

POLICY = RetryPolicy()


def decision(outcome: Outcome, **given: Any) -> float | None:
    return decide(
        **{
            "policy": POLICY,
            "method": "POST",
            "attempt": 1,
            "jitter": 0.5,
            "remaining": None,
            **given,
        },
        outcome=outcome,
    )


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_statuses_that_are_retried(status: int) -> None:
    assert decision(Outcome(status)) == 0.25
    assert decision(Outcome(status), attempt=2) == 0.5
    assert decision(Outcome(status), attempt=3) is None


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 422, 500, 501, 505, 520])
def test_statuses_that_are_final(status: int) -> None:
    assert decision(Outcome(status)) is None


def test_a_500_is_retried_for_get_only() -> None:
    assert decision(Outcome(500), method="GET") == 0.25
    for method in ("POST", "PATCH", "DELETE"):
        assert decision(Outcome(500), method=method) is None


@pytest.mark.parametrize(
    ("failure", "wait", "once"),
    [("not_sent", 0.25, 0.25), ("stale", 0.0, None), ("dropped", 0.25, None)],
)
def test_failures_without_a_response(failure: Any, wait: float | None, once: float | None) -> None:
    assert decision(Outcome(failure=failure)) == wait
    assert decision(Outcome(failure=failure), non_idempotent=True) == once


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_non_idempotent_request_is_retried_only_if_it_was_not_carried_out(
    status: int,
) -> None:
    assert decision(Outcome(status), non_idempotent=True, method="GET") == (
        0.25 if status in {429, 503} else None
    )


def test_a_stale_connection_is_retried_at_once_and_does_not_cost_an_attempt() -> None:
    never = RetryPolicy(max_attempts=1)
    assert decision(Outcome(failure="stale"), policy=never, jitter=0.99) == 0
    assert decision(Outcome(failure="stale"), policy=never, attempt=2) is None
    assert decision(Outcome(failure="stale"), attempt=3) == 0
    assert decision(Outcome(failure="stale"), attempt=4) is None


def test_one_attempt_means_no_retry() -> None:
    assert decision(Outcome(503), policy=RetryPolicy(max_attempts=1)) is None


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True), st.floats(0, 100), st.floats(0, 100))
def test_the_wait_is_full_jitter_under_the_cap(
    attempt: int, jitter: float, base: float, cap: float
) -> None:
    policy = RetryPolicy(max_attempts=1000, base=base, cap=cap)
    wait = decision(Outcome(503), policy=policy, attempt=attempt, jitter=jitter)
    assert wait is not None
    assert 0 <= wait <= min(cap, base * 2.0 ** (attempt - 1))
    assert decision(Outcome(503), policy=policy, attempt=attempt, jitter=0) == 0


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(0, 0.25), (0.2, 0.45), (30, 30.25), (60, 60.25), (60.001, None), (3600, None)],
)
def test_retry_after_is_honoured_up_to_the_cap(asked: float, wait: float | None) -> None:
    assert decision(Outcome(429, retry_after=asked)) == wait


def test_a_short_base_adds_little_jitter_to_a_requested_wait() -> None:
    assert decision(Outcome(429, retry_after=2), policy=RetryPolicy(base=0)) == 2
    assert decision(Outcome(429, retry_after=2), policy=RetryPolicy(base=50)) == 2.5


@pytest.mark.parametrize(
    ("remaining", "wait"), [(None, 0.25), (0.3, 0.25), (0.25, None), (0, None), (-1, None)]
)
def test_nothing_is_retried_past_the_deadline(remaining: float | None, wait: float | None) -> None:
    assert decision(Outcome(503), remaining=remaining) == wait


def test_the_budget_refills_to_its_size() -> None:
    budget = Budget(RetryPolicy(budget=2, budget_gain=0.25))
    assert [budget.take() for _ in range(4)] == [True, True, False, False]
    assert budget.level == 0
    for _ in range(3):
        budget.called()
    assert not budget.take()
    budget.called()
    assert budget.take()
    for _ in range(100):
        budget.called()
    assert budget.level == 2


def test_an_empty_budget_stays_empty() -> None:
    budget = Budget(RetryPolicy(budget=0))
    budget.called()
    assert not budget.take()


def test_an_outage_does_not_multiply_the_load() -> None:
    budget = Budget(POLICY)
    retries = 0
    for _ in range(1000):
        budget.called()
        retries += budget.take() + budget.take()
    assert retries <= 10 + 0.2 * 1000


NOW = 1795290000.0  # Sat, 21 Nov 2026 19:40:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 19:41:30 GMT"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 20:41:30 +0100"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 19:41:30 -0000"}, 90),
        ({"Retry-After": "Sat Nov 21 19:41:30 2026"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2026 19:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, None),
        ({"Retry-After": "Sat, 99 Nov 2026 19:41:30 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9),
        ({"retry-after-ms": "-1"}, None),
    ],
)
def test_the_wait_that_a_response_asks_for(
    headers: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert retry_after(headers, NOW) == seconds


DATES = st.from_regex(
    r"[A-Z][a-z]{2}, \d{1,3} Nov \d{1,12} \d\d?:\d\d?(:\d\d?)? ?(GMT|[+-]\d{4})?", fullmatch=True
)


@given(st.text(max_size=30) | DATES)
@example("Sat, 21 Nov 2026 19:41:30 +9999")
def test_no_header_breaks_it(text: str) -> None:
    asked = retry_after({"Retry-After": text, "retry-after-ms": text}, NOW)
    assert asked is None or asked >= 0
