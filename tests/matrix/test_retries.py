"""Every status, with each form of ``Retry-After``: the error, the attempts and the key."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import pytest
from faults import scripts as f
from faults.calls import CALLS, KEY, TOKEN, play
from faults.calls import faulty as to
from faults.lab import Lab

from inferencekey import (
    ApiError,
    AsyncDataClient,
    AsyncManagementClient,
    AuthError,
    DataClient,
    ManagementClient,
    NotFoundError,
    PermissionDenied,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Timeouts,
    ValidationError,
)

WAYS = ("async", "sync")
CLASSES = {
    400: ValidationError,
    401: AuthError,
    403: PermissionDenied,
    404: NotFoundError,
    422: ValidationError,
    429: RateLimitError,
}
RETRIED = {408, 429, 502, 503, 504}
QUICK = RetryPolicy(base=0.001, budget=1e9)

AFTER: dict[str, tuple[dict[str, str], float | None]] = {
    "none": ({}, None),
    "seconds": ({"retry_after": "0"}, 0.0),
    "date": ({"retry_after": formatdate(time.time() - 5, usegmt=True)}, 0.0),
    "milliseconds": ({"retry_after_ms": "2", "retry_after": "3600"}, 0.002),
    "too late": ({"retry_after": "3600"}, 3600.0),
    "nonsense": ({"retry_after": "soon"}, None),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", AFTER)
@pytest.mark.parametrize("call", ["generate_text", "list_workloads"])
def test_every_status(call: str, form: str, way: str) -> None:
    headers, after = AFTER[form]
    status = 0
    errors: dict[int, Exception] = {}
    counts: dict[int, int] = {}
    keys: dict[int, set[str | None]] = {}

    async def script(connection: Any, request: Any, body: bytes) -> None:
        await f.refuses(status, **headers)(connection, request, body)

    with Lab(script) as lab:
        common = {"base_url": lab.url, "project": "acme", "retry": QUICK}

        def note(seen: int, error: Exception) -> None:
            errors[status] = error
            counts[status] = len(lab.requests) - seen
            keys[status] = {
                request.headers.get("idempotency-key") for request in lab.requests[seen:]
            }

        async def all_of_them() -> None:
            nonlocal status
            async with (
                AsyncDataClient(api_key=KEY, **common) as data,
                AsyncManagementClient(sdk_token=TOKEN, **common) as management,
            ):
                for number in range(400, 600):
                    status, seen = number, len(lab.requests)
                    with pytest.raises(Exception, match="no") as caught:
                        await CALLS[call](data.endpoint("bot"), management)
                    note(seen, caught.value)

        if way == "async":
            asyncio.run(all_of_them())
        else:
            with (
                DataClient(api_key=KEY, **common) as data,
                ManagementClient(sdk_token=TOKEN, **common) as management,
            ):
                for number in range(400, 600):
                    status, seen = number, len(lab.requests)
                    with pytest.raises(Exception, match="no") as caught:
                        CALLS[call](data.endpoint("bot"), management)
                    note(seen, caught.value)
        assert len(lab.connections) <= 2, "every response returned its connection to the pool"

    again = RETRIED | ({500} if call == "list_workloads" else set())
    for status, error in errors.items():
        assert type(error) is CLASSES.get(status, ServerError if status >= 500 else ApiError)
        tries = 3 if status in again and form != "too late" else 1
        assert (status, counts[status], error.attempts, error.status, error.retry_after) == (
            status,
            tries,
            tries,
            status,
            after,
        )
        assert error.body == '{"error": "no"}'
        assert len(keys[status]) == 1
    if call == "generate_text":
        assert len(set.union(*keys.values())) == 200
        assert None not in set.union(*keys.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", ["embed", "rerank", "delete", "generate_text_stream"])
@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_which_statuses_are_retried(status: int, call: str, way: str) -> None:
    with Lab(f.refuses(status), to=to(call)) as lab:
        first, _ = play(way, lab.url, call, retry=QUICK)
        tries = 3 if status in RETRIED else 1
        assert (len(lab.hits), first.error.attempts) == (tries, tries)
    with Lab(f.refuses(status), to=to(call)) as lab:
        first, _ = play(way, lab.url, call, retry=None)
        assert (len(lab.hits), first.error.attempts) == (1, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", ["generate_text", "list_workloads", "delete"])
@pytest.mark.parametrize("fault", [f.closes, f.resets, f.half_closes])
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"], indirect=True)
def test_no_retry_means_one_request(plain: bool, fault: f.Fault, call: str, way: str) -> None:
    """aiohttp's own retries of GET and DELETE are off, except with plain aiohttp classes."""
    with Lab(fault, to=to(call)) as lab:
        first, _ = play(way, lab.url, call, retry=None)
        # A delete uses the connection of the list before it, so its first attempt is a stale one.
        attempts = 2 if call == "delete" else 1
        assert first.error.attempts == attempts
        resends = 2 if plain and call != "generate_text" else 1
        assert len(lab.hits) == attempts * resends


@pytest.mark.parametrize("way", WAYS)
def test_an_error_that_ends_after_two_attempts(way: str) -> None:
    for fault in (f.refuses(503), f.closes, f.resets, f.refuses(429, retry_after="0")):
        with Lab(fault, times=2) as lab:
            first, _ = play(way, lab.url, "generate_text", retry=QUICK)
            assert first.error is None
            assert first.value.text == "Hola"
            assert len(lab.requests) == 3


@pytest.mark.parametrize("way", WAYS)
def test_retry_after_is_waited_for(way: str) -> None:
    with Lab(f.refuses(503, retry_after_ms="300"), times=1) as lab:
        began = time.monotonic()
        first, _ = play(way, lab.url, "generate_text", retry=QUICK)
        assert first.error is None
        assert 0.3 <= time.monotonic() - began < 3


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_retried_past_the_deadline(way: str) -> None:
    with Lab(f.refuses(503, retry_after="2")) as lab:
        began = time.monotonic()
        first, _ = play(way, lab.url, "generate_text", retry=QUICK, timeout=Timeouts(total=1))
        assert type(first.error) is ServerError
        assert (len(lab.hits), first.error.retry_after) == (1, 2.0)
        assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("way", WAYS)
def test_an_outage_does_not_multiply_the_load(way: str) -> None:
    policy = RetryPolicy(base=0.0, budget=4, budget_gain=0.0)
    with Lab(f.refuses(503)) as lab:
        if way == "sync":
            with DataClient(base_url=lab.url, project="acme", api_key=KEY, retry=policy) as data:
                for _ in range(10):
                    with pytest.raises(ServerError):
                        data.endpoint("bot").generate_text(prompt="x")
        else:

            async def calls() -> None:
                async with AsyncDataClient(
                    base_url=lab.url, project="acme", api_key=KEY, retry=policy
                ) as data:
                    for _ in range(10):
                        with pytest.raises(ServerError):
                            await data.endpoint("bot").generate_text(prompt="x")

            asyncio.run(calls())
        assert len(lab.requests) == 10 + 4


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_connection_fails_within_ten_seconds(way: str) -> None:
    """With the defaults."""
    from faults.calls import refused

    with refused() as url:
        began = time.monotonic()
        first, _ = play(way, url, "generate_text")
        assert first.error.attempts == 3
        assert time.monotonic() - began < 10
