"""Every deadline, of the client and of the call, as a number and as ``Timeouts``."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faults import Connection, Request, chunk, events, head, sse_head
from faults import scripts as f
from faults.calls import KEY, TOKEN
from faults.lab import Lab

from inferencekey import (
    AsyncDataClient,
    AsyncManagementClient,
    DataClient,
    InferenceKeyError,
    ManagementClient,
    ReadinessTimeout,
    RequestTimeout,
    Timeouts,
    TransportError,
    ValidationError,
)

WAYS = pytest.mark.parametrize("way", ["async", "sync"])
WHERE = pytest.mark.parametrize("where", ["client", "call"])


def call(
    way: str, url: str, streamed: bool, where: str, timeout: Any, **options: Any
) -> tuple[InferenceKeyError, float, str]:
    """Make a call that must fail.

    Returns:
        Its error, how many seconds it took, and the text that arrived before the error.
    """
    ours = {"base_url": url, "project": "acme", "api_key": KEY, "retry": None, **options}
    theirs: dict[str, Any] = {}
    (ours if where == "client" else theirs)["timeout"] = timeout
    text = ""

    async def asynchronously() -> None:
        nonlocal text
        async with AsyncDataClient(**ours) as data:
            endpoint = data.endpoint("bot")
            if not streamed:
                await endpoint.generate_text(prompt="x", **theirs)
                return
            async for piece in endpoint.generate_text_stream(prompt="x", **theirs):
                text += piece.text

    def synchronously() -> None:
        nonlocal text
        with DataClient(**ours) as data:
            endpoint = data.endpoint("bot")
            if not streamed:
                endpoint.generate_text(prompt="x", **theirs)
                return
            for piece in endpoint.generate_text_stream(prompt="x", **theirs):
                text += piece.text

    began = time.monotonic()
    with pytest.raises(InferenceKeyError) as caught:
        asyncio.run(asynchronously()) if way == "async" else synchronously()
    return caught.value, time.monotonic() - began, text


@contextmanager
def mute() -> Iterator[str]:
    """A port that accepts connections and sends nothing, so that a TLS handshake does not end."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


OTHERS: dict[str, Any] = {"connect": 30, "first_byte": 30, "read": 30, "total": 30, "keepalive": 30}


def only(name: str, seconds: float = 0.4) -> Timeouts:
    """Return deadlines of which only one can pass."""
    return Timeouts(**{**OTHERS, name: seconds})


def assert_timeout(error: InferenceKeyError, seconds: float, match: str) -> None:
    assert type(error) is RequestTimeout
    assert isinstance(error, TimeoutError)
    assert isinstance(error, TransportError)
    assert str(error).startswith("network error: ")
    assert match in str(error)
    assert 0.3 <= seconds < 3


@WAYS
@WHERE
@pytest.mark.parametrize("streamed", [False, True])
def test_connect(streamed: bool, where: str, way: str) -> None:
    with mute() as url:
        error, seconds, _ = call(way, url, streamed, where, only("connect"))
    assert_timeout(error, seconds, "connect timeout")
    assert error.attempts == 1


@WAYS
@WHERE
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", [f.is_silent, f.is_silent_in_the_head])
def test_first_byte(fault: f.Fault, streamed: bool, where: str, way: str) -> None:
    with Lab(fault) as lab:
        error, seconds, _ = call(way, lab.url, streamed, where, only("first_byte"))
        assert_timeout(error, seconds, "silent")
        assert lab.ended(lab.connections[0])


async def goes_silent(connection: Connection, request: Request, body: bytes) -> None:
    if f.is_stream(request):
        await connection.send(sse_head(), *events("a", finish=None, done=False))
    else:
        await connection.send(
            head(content_type="application/json", content_length="100"), b'{"choices"'
        )
    await connection.until_gone()


@WAYS
@WHERE
@pytest.mark.parametrize("streamed", [False, True])
def test_read(streamed: bool, where: str, way: str) -> None:
    with Lab(goes_silent) as lab:
        error, seconds, text = call(way, lab.url, streamed, where, only("read"))
        assert_timeout(error, seconds, "silent")
        assert (text, error.status, error.attempts) == ("a" if streamed else "", 200, 1)
        assert lab.ended(lab.connections[0])


async def never_ends(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(head(content_type="application/json", content_length="1000"))
    while not connection.writer.is_closing():
        await connection.send(b" ", pause=0.05)


@WAYS
@WHERE
@pytest.mark.parametrize("given", ["Timeouts", "number"])
@pytest.mark.parametrize("fault", [never_ends, f.is_silent, f.is_silent_in_the_body])
def test_total_of_a_unary_call(fault: f.Fault, given: str, where: str, way: str) -> None:
    with Lab(fault) as lab:
        error, seconds, _ = call(
            way, lab.url, False, where, only("total") if given == "Timeouts" else 0.4
        )
        assert_timeout(error, seconds, "")
        assert lab.ended(lab.connections[0])


@WAYS
@WHERE
@pytest.mark.parametrize("given", ["Timeouts", "number"])
def test_keepalive(given: str, where: str, way: str) -> None:
    async def breathes(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
        while not connection.writer.is_closing():
            await connection.send(chunk(b": still here\n\n"), pause=0.05)

    with Lab(breathes) as lab:
        error, seconds, text = call(
            way, lab.url, True, where, only("keepalive") if given == "Timeouts" else 0.4
        )
        assert_timeout(error, seconds, "only keep-alive comments for 0.4 s")
        assert text == "a"
        assert lab.ended(lab.connections[0])


@WAYS
def test_an_endless_event_does_not_count_as_a_comment(way: str) -> None:
    async def crawls(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(sse_head(), chunk(b"data: "))
        while not connection.writer.is_closing():
            await connection.send(chunk(b"x"), pause=0.05)

    with Lab(crawls) as lab:
        error, seconds, _ = call(way, lab.url, True, "call", 0.4)
        assert_timeout(error, seconds, "no complete event for 0.4 s")


@WAYS
@WHERE
@pytest.mark.parametrize("given", ["Timeouts", "number"])
def test_a_stream_has_no_total(given: str, where: str, way: str) -> None:
    async def slow(connection: Connection, request: Request, body: bytes) -> None:
        pieces = events(*"abcdefgh", finish=None, done=False)
        await connection.send(sse_head(), *pieces, pause=0.1)
        connection.reset()

    timeout = Timeouts(total=0.4, read=2, first_byte=2) if given == "Timeouts" else 0.5
    with Lab(slow) as lab:
        error, seconds, text = call(way, lab.url, True, where, timeout)
        assert text == "abcdefgh"
        assert not isinstance(error, TimeoutError)
        assert seconds > 0.7


@WAYS
def test_the_timeout_of_the_call_replaces_that_of_the_client(way: str) -> None:
    with Lab(f.is_silent) as lab:
        ours = {"base_url": lab.url, "project": "acme", "api_key": KEY, "timeout": 30}
        began = time.monotonic()
        if way == "sync":
            with DataClient(**ours) as data, pytest.raises(RequestTimeout):
                data.endpoint("bot").embed("x", timeout=0.4)
        else:

            async def embed() -> None:
                async with AsyncDataClient(**ours) as data:
                    with pytest.raises(RequestTimeout):
                        await data.endpoint("bot").embed("x", timeout=0.4)

            asyncio.run(embed())
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("timeout", [0, -1, True, "3", float("nan")])
def test_rejects_a_wrong_timeout(timeout: Any) -> None:
    data = DataClient(base_url="http://127.0.0.1:9", project="acme", api_key=KEY)
    with pytest.raises(ValidationError, match="timeout must be a number of seconds above 0"):
        data.endpoint("bot").generate_text(prompt="x", timeout=timeout)
    with pytest.raises(ValidationError, match="timeout must be a number of seconds above 0"):
        data.endpoint("bot").generate_text_stream(prompt="x", timeout=timeout)
    with pytest.raises(ValidationError):
        Timeouts(read=timeout)


@WAYS
def test_a_deadline_counts_the_waits_between_attempts(way: str) -> None:
    # Each attempt takes less than the total, and all of them together take more. A slow machine
    # makes fewer attempts.

    async def late_and_busy(connection: Connection, request: Request, body: bytes) -> None:
        await asyncio.sleep(0.8)
        await f.refuses(503, retry_after="0")(connection, request, body)

    from inferencekey import RetryPolicy

    with Lab(late_and_busy) as lab:
        error, seconds, _ = call(
            way, lab.url, False, "call", 2.0, retry=RetryPolicy(max_attempts=20, base=0.0)
        )
        assert type(error) is RequestTimeout
        assert seconds < 6
        assert 1 < len(lab.hits) <= 3


PROVISIONING = b'data: {"phase": "provisioning", "message": "soon", "elapsed_ms": 1}\n\n'


async def beats(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(sse_head())
    while not connection.writer.is_closing():
        await connection.send(chunk(b": beat\n\n"), pause=0.05)


async def says_once(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(sse_head(), chunk(PROVISIONING))
    await connection.until_gone()


async def says_the_same_for_ever(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(sse_head())
    while not connection.writer.is_closing():
        await connection.send(chunk(PROVISIONING), pause=0.05)


@WAYS
@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (f.is_silent, "the platform has sent no event"),
        (f.streams(then="hang"), "the platform has sent no event"),
        (beats, "the platform has sent no event"),
        (f.closes, "the platform has sent no event"),
        (f.refuses(503), "the platform has sent no event"),
        (f.streams(PROVISIONING), "it is provisioning: soon"),
        (says_once, "it is provisioning: soon"),
        (says_the_same_for_ever, "it is provisioning: soon"),
    ],
    ids=[
        "silent",
        "no event",
        "heartbeats",
        "reconnects",
        "refusals",
        "an event, reconnects",
        "an event",
        "events",
    ],
)
def test_wait_until_ready_ends_at_its_timeout(fault: f.Fault, state: str, way: str) -> None:
    with Lab(fault) as lab:
        ours = {"base_url": lab.url, "project": "acme", "sdk_token": TOKEN}
        began = time.monotonic()
        with pytest.raises(
            ReadinessTimeout, match=f"was not ready within 0.5 s .{state}"
        ) as caught:
            if way == "sync":
                with ManagementClient(**ours) as management:
                    management.wait_until_ready("bot", timeout=0.5, silent=True)
            else:

                async def wait() -> None:
                    async with AsyncManagementClient(**ours) as management:
                        await management.wait_until_ready("bot", timeout=0.5, silent=True)

                asyncio.run(wait())
        assert 0.45 <= time.monotonic() - began < 3
        assert isinstance(caught.value, TimeoutError)
        assert {event.phase for event in caught.value.events} <= {"provisioning"}
        assert all(lab.ended(connection) for connection in lab.connections)


@WAYS
def test_a_wait_survives_drops_of_every_kind(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from inferencekey._async import readiness

    waits: list[int] = []

    def quick(drops: int) -> float:
        waits.append(drops)
        return 0.01

    monkeypatch.setattr(readiness, "reconnect_wait", quick)
    drops = [
        f.closes,
        f.resets,
        f.refuses(502),
        f.refuses(503),
        f.streams(),
        f.streams(then="close"),
        f.streams(PROVISIONING, then="reset"),
    ]

    async def each_in_turn(connection: Connection, request: Request, body: bytes) -> None:
        await drops[len(lab.hits) - 1](connection, request, body)

    seen: list[str] = []
    with Lab(each_in_turn, times=len(drops)) as lab:
        ours = {"base_url": lab.url, "project": "acme", "sdk_token": TOKEN}
        note = {"timeout": 20, "on_progress": lambda event: seen.append(event.phase)}
        if way == "sync":
            with ManagementClient(**ours) as management:
                last = management.wait_until_ready("bot", **note)
        else:

            async def wait() -> Any:
                async with AsyncManagementClient(**ours) as management:
                    return await management.wait_until_ready("bot", **note)

            last = asyncio.run(wait())
    assert (last.phase, seen) == ("ready", ["provisioning", "ready"])
    assert len(lab.hits) == len(drops)
    assert waits == [1, 2, 3, 4, 5, 6, 1]  # the event before the last drop restarts the waits
