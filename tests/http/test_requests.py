"""Requests as values, bodies that are read from a source, and whole responses."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, json_response
from faults import scripts as f
from faults.calls import KEY
from faults.ways import opened, request

from inferencekey import RetryPolicy, ServerError, TransportError
from inferencekey._http.request import ReplayableSource
from inferencekey._http.responses import Response, annotate
from inferencekey.errors import ApiError

pytestmark = pytest.mark.anyio

QUICK = RetryPolicy(base=0.001)
PIECES = [b"one ", b"two ", b"three"]
WHOLE = b"".join(PIECES)

PLAIN = pytest.mark.parametrize("plain", ["0", "1"], ids=["ours", "plain"])


@pytest.fixture
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCEKEY_PLAIN_AIOHTTP", request.param)


async def good(connection: Connection, request: Request) -> None:
    await connection.send(json_response({"good": True}))


async def resets(connection: Connection, request: Request) -> None:
    connection.reset()


class Source:
    """A body that can be opened again."""

    def __init__(self, pieces: list[Any], size: int | None = None) -> None:
        self.pieces = pieces
        self.size = size
        self.opened = 0

    async def open(self) -> AsyncIterator[bytes]:
        self.opened += 1
        for piece in self.pieces:
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def once(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def test_which_sources_are_replayable() -> None:
    assert isinstance(Source(PIECES), ReplayableSource)
    assert not isinstance(once(PIECES), ReplayableSource)
    assert not isinstance(b"bytes", ReplayableSource)


def test_a_request_does_not_show_its_credential_or_its_body() -> None:
    made = request(b"secret", path="/x", query="a=b")
    assert repr(made) == "Request('POST', '/x?a=b')"


@PLAIN
@pytest.mark.parametrize("size", [len(WHOLE), None])
async def test_a_source_is_sent_with_its_size_or_in_chunks(size: int | None, plain: None) -> None:
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            made = request(Source(PIECES, size), content_type="application/octet-stream")
            assert (await transport.request(made)).attempts == 1
    (came,) = server.requests
    assert came.body == WHOLE
    assert came.headers["content-type"] == "application/octet-stream"
    assert came.headers.get("content-length") == (None if size is None else str(size))
    assert ("transfer-encoding" in came.headers) is (size is None)


@PLAIN
@pytest.mark.parametrize("first", [resets, f.refuses(503)], ids=["dropped", "503"])
async def test_a_replayable_source_is_sent_again(first: Any, plain: None) -> None:
    async def fails(connection: Connection, request: Request) -> None:
        await (first(connection, request) if first is resets else first(connection, request, b""))

    source = Source(PIECES, len(WHOLE))
    with FaultServer(fails, good) as server:
        async with opened(server.url, retry=QUICK) as transport:
            made = request(source, idempotency_key="k-1")
            assert (await transport.request(made)).attempts == 2
    assert source.opened == 2
    assert [came.body for came in server.requests] == [WHOLE, WHOLE]
    assert [came.headers["idempotency-key"] for came in server.requests] == ["k-1", "k-1"]


@PLAIN
async def test_a_source_is_sent_again_after_half_of_it_was_taken(plain: None) -> None:
    """The connection is lost while the source is read."""

    class Impatient(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            if len(self.connections) == 1:
                await connection.reader.readuntil(b"two")
                connection.reset()
            else:
                await super()._connection(connection)

    class Slow(Source):
        async def open(self) -> AsyncIterator[bytes]:
            self.opened += 1
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(0.05)

    source = Slow(PIECES, len(WHOLE))
    with Impatient(good) as server:
        async with opened(server.url, retry=QUICK) as transport:
            assert (await transport.request(request(source))).attempts == 2
    assert source.opened == 2
    assert [came.body for came in server.requests] == [WHOLE]


@PLAIN
async def test_a_source_that_cannot_be_replayed_is_sent_once(plain: None) -> None:
    with FaultServer(resets, good) as server:
        async with opened(server.url, retry=QUICK) as transport:
            with pytest.raises(TransportError) as caught:
                await transport.request(request(once(PIECES)))
            assert caught.value.attempts == 1
    assert len(server.requests) == 1


async def test_a_source_that_cannot_be_replayed_is_not_sent_again_after_a_503() -> None:
    async def refuses(connection: Connection, request: Request) -> None:
        await f.refuses(503)(connection, request, b"")

    with FaultServer(refuses, good) as server:
        async with opened(server.url, retry=QUICK) as transport:
            with pytest.raises(ServerError):
                await transport.request(request(once(PIECES)))
    assert len(server.requests) == 1


async def test_a_source_that_was_not_opened_may_be_sent_again() -> None:
    """Without a connection, nothing was read from the source."""
    with FaultServer() as server:
        url = server.url
    async with opened(url, retry=QUICK) as transport:
        with pytest.raises(TransportError, match="cannot connect") as caught:
            await transport.request(request(once(PIECES)))
        assert caught.value.attempts == 3


async def test_a_source_that_cannot_be_replayed_gets_a_new_connection() -> None:
    """A pooled connection may be dead, and the source would be lost with it."""
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            await transport.request(request(b"{}"))
            await transport.request(request(once(PIECES)))
            await transport.request(request(Source(PIECES)))
    assert len(server.connections) == 2


@PLAIN
@pytest.mark.parametrize(
    "error", [ValueError("no such row"), OSError(5, "the disk failed")], ids=["value", "os"]
)
async def test_an_error_of_a_source_reaches_the_caller(error: Exception, plain: None) -> None:
    source = Source([b"one", error], 100)
    with FaultServer(good) as server:
        async with opened(server.url, retry=QUICK) as transport:
            with pytest.raises(type(error)) as caught:
                await transport.request(request(source))
    assert caught.value is error
    assert source.opened == 1
    shown = "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    )
    assert KEY not in shown
    assert "open" in shown


@pytest.mark.parametrize("pieces", [PIECES[:2], [*PIECES, b"four"]], ids=["fewer", "more"])
async def test_rejects_a_wrong_size(pieces: list[bytes]) -> None:
    source = Source(pieces, len(WHOLE))
    sent = sum(map(len, pieces))
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            with pytest.raises(ValueError, match=f"has {sent} bytes, but its size is {len(WHOLE)}"):
                await transport.request(request(source))


async def test_reads_a_response_that_arrives_during_an_upload() -> None:
    class Refusing(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            await connection.reader.readuntil(b"\r\n\r\n")
            await connection.send(json_response({"error": "too large"}, 413))
            await connection.until_gone()

    class Endless(Source):
        async def open(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.01)

    with Refusing() as server:
        async with opened(server.url) as transport:
            with pytest.raises(ApiError, match="too large"):
                async with asyncio.timeout(10):
                    await transport.request(request(Endless([])))
        assert server.connections[0].gone.wait(5)


@PLAIN
async def test_headers_of_a_request_replace_the_clients(plain: None) -> None:
    with FaultServer(good) as server:
        async with opened(server.url, headers={"X-One": "client", "X-Two": "client"}) as transport:
            await transport.request(request(b"{}", headers={"x-one": "request", "Accept": "a/b"}))
    (came,) = server.requests
    assert (came.headers["x-one"], came.headers["x-two"]) == ("request", "client")
    assert came.headers["accept"] == "a/b"
    assert came.headers["content-type"] == "application/json"


async def test_both_ways_send_the_content_type() -> None:
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            for headers in (None, {"X-One": "1"}):
                made = request(b"a,b", content_type="text/csv", headers=headers)
                assert (await transport.request(made)).status == 200
    assert [came.headers["content-type"] for came in server.requests] == ["text/csv"] * 2


async def test_a_whole_response() -> None:
    async def answers(connection: Connection, request: Request) -> None:
        await connection.send(json_response({"a": 1}, 201, x_request_id="r-1", x_more="yes"))

    with FaultServer(answers) as server:
        async with opened(server.url) as transport:
            response = await transport.request(request())
    assert (response.status, response.body, response.request_id) == (201, b'{"a": 1}', "r-1")
    assert response.headers["X-MORE"] == "yes"
    assert response.attempts == 1


def test_an_error_is_annotated_with_its_response() -> None:
    response = Response(200, {}, b"not with " + KEY.encode(), "r-1", 2)
    error = ApiError("x")
    annotate(error, response)
    assert (error.status, error.request_id, error.attempts) == (200, "r-1", 2)
    assert error.body == "not with ik_live_0a1b2c3d…"
    # Fields that are set already do not change.
    known = ApiError("x", status=500, request_id="r-0", body="b")
    annotate(known, response)
    assert (known.status, known.request_id, known.body) == (500, "r-0", "b")
    assert re.fullmatch(r"x", str(known))
