"""The fast path sends the same requests and returns the same responses as an aiohttp session."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import re
import socket
import time
import weakref
import zlib
from typing import Any

import aiohttp
import pytest
from faults import Connection, FaultServer, Request, Script, chunk, head, json_response, sse_head
from faults.calls import KEY
from faults.programs import run_program
from faults.scripts import POISON
from faults.ways import (
    BODIES,
    Seen,
    connector,
    is_idle,
    limits,
    opened,
    pooled,
    post,
    request,
    seen,
    until,
)

from inferencekey import (
    ConfigurationError,
    RequestTimeout,
    ResponseFormatError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from inferencekey._http.connections import ConnectionProtocol, Connector
from inferencekey._http.fast_path import FastPath
from inferencekey._http.request import SMALL_BODY

pytestmark = pytest.mark.anyio

WAYS = pytest.mark.parametrize("way", list(BODIES))
GOOD = json_response({"good": True})


async def good(connection: Connection, request: Request) -> None:
    await connection.send(GOOD)


# Requests.


class Bare(FaultServer):
    """Keeps the heads of requests unchanged."""

    async def _connection(self, connection: Connection) -> None:
        while True:
            text = await connection.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", text)
            await connection.reader.readexactly(int(length[1]) if length else 0)
            self.heads.append(text)
            await connection.send(GOOD)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heads: list[bytes] = []


def lines(text: bytes) -> list[str]:
    return sorted(
        re.sub(r"(?i)^(content-length): \d+", r"\1: n", line)
        for line in text.decode().split("\r\n")
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-One": "1", "x-two": "dós\t2"},
        {"user-agent": "mine/1", "ACCEPT": "application/json", "accept-encoding": "identity"},
        {"content-type": "text/plain", "idempotency-key": "mine", "Cookie": "a=b; c=d"},
        {"Connection": "keep-alive"},
    ],
    ids=["none", "more", "other defaults", "ours", "hop by hop"],
)
@pytest.mark.parametrize("key", [None, "k-1"])
@pytest.mark.parametrize("prefix", ["", "/a/b", "/%7Euser;v=1", "/ñ"])
async def test_sends_the_same_request_as_a_session(
    prefix: str, key: str | None, headers: dict[str, str]
) -> None:
    with Bare() as server:
        async with opened(f"{server.url}{prefix}", headers=headers) as transport:
            for way in BODIES:
                assert (await post(transport, way, key=key)).status == 200
    direct, session = server.heads
    assert lines(direct) == lines(session)
    names = [line.partition(":")[0].lower() for line in lines(direct) if ":" in line]
    assert len(names) == len(set(names))
    assert direct.count(KEY.encode()) == 1
    assert direct.startswith(f"POST {prefix}/api/projects/acme/workloads HTTP/1.1\r\n".encode())
    assert b"\r\nContent-Length: 2\r\n" in direct
    assert b"\r\nContent-Type: application/json\r\n" in direct


async def test_sends_bodies_of_all_sizes() -> None:
    for size in (0, 1, SMALL_BODY, SMALL_BODY + 1):
        with FaultServer(good) as server:
            async with opened(server.url) as transport:
                await transport.request(
                    request(b"b" * size, method="PATCH", path="/x", query="y=z")
                )
        (came,) = server.requests
        assert (came.method, came.path, came.body) == ("PATCH", "/x?y=z", b"b" * size)


def ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6(), reason="no IPv6 here")
async def test_the_host_header_of_an_ipv6_address() -> None:
    with Bare(host="::1") as server:
        async with opened(server.url) as transport:
            await post(transport)
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.heads[0]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://a.test", "a.test"),
        ("http://a.test:80", "a.test"),
        ("https://a.test:443", "a.test"),
        ("http://a.test:443/p", "a.test:443"),
        ("https://[fe80::1]:8443", "[fe80::1]:8443"),
    ],
)
async def test_the_host_header(origin: str, host: str) -> None:
    async with aiohttp.ClientSession() as http:
        fast_path = FastPath(origin, {}, http)
        assert f"\r\nHost: {host}\r\n".encode() in fast_path._encode(request(b""))


# Responses: they are the same as with a session, and so is what happens to the connection.


def says(*pieces: bytes, then: str = "stay", pause: float = 0.0) -> Script:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(*pieces, pause=pause)
        if then == "close":
            connection.close()
        elif then == "reset":
            connection.reset()
        elif then == "end":
            connection.writer.write_eof()
            await connection.until_gone()

    return script


BODY = b'{"text": "' + b"x" * 300 + b'"}'
CHUNKED = head(content_type="application/json", transfer_encoding="chunked")


def packed(name: str, data: bytes) -> bytes:
    return head(content_encoding=name, content_length=str(len(data))) + data


ANSWERS: dict[str, Script] = {
    "a length": says(json_response(BODY)),
    "a length, then the end": says(json_response(BODY), then="close"),
    "a length, then half the end": says(json_response(BODY), then="end"),
    "no bytes": says(head(content_length="0")),
    "chunks": says(CHUNKED, chunk(BODY[:9]), chunk(BODY[9:]), chunk(b"")),
    "chunks, one write": says(CHUNKED + chunk(BODY[:9]) + chunk(BODY[9:]) + chunk(b"")),
    "chunks and trailers": says(CHUNKED, chunk(BODY), b"0\r\nX-Trailer: 1\r\n\r\n"),
    "chunks with extensions": says(CHUNKED, b"2;a=b\r\n{}\r\n", chunk(b"")),
    "bytes": says(*(bytes([byte]) for byte in json_response({"a": 1}))),
    "neither": says(head(content_type="application/json"), BODY, then="close"),
    "neither, half the end": says(head(content_type="application/json"), BODY, then="end"),
    "connection: close": says(json_response(BODY, connection="close")),
    "connection: close, closed": says(json_response(BODY, connection="close"), then="close"),
    "connection: Keep-Alive, Close": says(json_response(BODY, connection="Keep-Alive, Close")),
    "http/1.0": says(json_response(BODY).replace(b"HTTP/1.1", b"HTTP/1.0")),
    "http/1.0 keep-alive": says(
        json_response(BODY, connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    ),
    "http/1.0, neither": says(b"HTTP/1.0 200 OK\r\n\r\n", BODY, then="close"),
    "bare line feeds": says(json_response(b"{}").replace(b"\r\n", b"\n")),
    "201": says(json_response(BODY, 201)),
    "204": says(head(204)),
    "204 with a length": says(head(204, content_length="0")),
    "205": says(head(205, content_length="0")),
    "304": says(head(304)),
    "304 with a length": says(head(304, content_length="5")),
    "100": says(b"HTTP/1.1 100 Continue\r\n\r\n", GOOD),
    "100, one write": says(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + GOOD),
    "102 and 103": says(
        b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n", GOOD
    ),
    "100 and the end": says(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"),
    "101": says(b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "101 with bytes": says(
        b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nabc"
    ),
    "a status below 100": says(b"HTTP/1.1 042 Odd\r\nContent-Length: 2\r\n\r\nhi"),
    "a status of two digits": says(b"HTTP/1.1 42 Odd\r\nContent-Length: 2\r\n\r\nhi"),
    "a status above 599": says(b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi"),
    "a redirect": says(head(302, location="/elsewhere", content_length="0")),
    "a redirect elsewhere": says(head(307, location="http://127.0.0.1:9/", content_length="0")),
    "an error": says(
        json_response({"error": {"message": "no", "code": "c"}}, 400, x_request_id="r")
    ),
    "an error without an end": says(head(400, content_length="100"), b"no", then="close"),
    "a cookie": says(json_response({}, set_cookie="a=b")),
    "gzip": says(packed("gzip", gzip.compress(BODY))),
    "GZip": says(packed("GZip", gzip.compress(BODY))),
    "gzip in chunks": says(
        head(content_encoding="gzip", transfer_encoding="chunked"),
        *(chunk(bytes([byte])) for byte in gzip.compress(b"{}")),
        chunk(b""),
    ),
    "gzip to the end": says(head(content_encoding="gzip"), gzip.compress(BODY), then="close"),
    "deflate": says(packed("deflate", zlib.compress(BODY))),
    "deflate without its head": says(packed("deflate", zlib.compress(BODY, wbits=-15))),
    "gzip that is none": says(packed("gzip", BODY)),
    "gzip cut": says(packed("gzip", gzip.compress(BODY)[:-12])),
    "an encoding not known": says(packed("snappy", BODY)),
    "encoded twice": says(packed("gzip, gzip", gzip.compress(gzip.compress(BODY)))),
    "a body cut": says(json_response(BODY)[:-9], then="close"),
    "a body reset": says(json_response(BODY)[:-9], then="reset"),
    "a chunk cut": says(CHUNKED, chunk(BODY)[:-9], then="close"),
    "no last chunk": says(CHUNKED, chunk(BODY), then="close"),
    "a chunk's size that is none": says(CHUNKED, b"zz\r\n", pause=0.2),
    "a chunk's size that is none, one write": says(CHUNKED + b"zz\r\n"),
    "a head cut": says(b"HTTP/1.1 200 OK\r\nContent-Ty", then="close"),
    "nothing": says(then="close"),
    "nothing, reset": says(then="reset"),
    "no http": says(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a long header": says(head(x_big="x" * 9000, content_length="0")),
    "a longer header": says(head(x_big="x" * 100_000, content_length="0")),
    "many headers": says(head(content_length="0", **{f"x_{n}": "1" for n in range(200)})),
    "a long reason": says(b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "two lengths": says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!"),
    "a length and chunks": says(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\n\r\n"
    ),
    "a negative length": says(head(content_length="-1")),
    "a header without a colon": says(b"HTTP/1.1 200 OK\r\nwhat\r\n\r\n"),
    "no content type": says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_handles_a_response_like_a_session(name: str) -> None:
    """Makes two calls on each path.

    Compares what the caller gets, how many connections were used, and how many are in the pool.
    """
    found: list[tuple[Seen, Seen, int, int]] = []
    with FaultServer(ANSWERS[name]) as server:
        for way in BODIES:
            before = len(server.connections)
            async with opened(server.url) as transport:
                first = await seen(post(transport, way))
                await asyncio.sleep(
                    0.02
                )  # what the server does after its answer has happened by then
                second = await seen(post(transport, way))
                await asyncio.sleep(0.02)
                assert await is_idle(transport)
                found.append(
                    (first, second, len(server.connections) - before, len(await pooled(transport)))
                )
    assert found[0] == found[1]
    assert found[0][0] == found[0][1]


@WAYS
async def test_the_timeout_continues_after_an_interim_response(way: str) -> None:
    """aiohttp stops its timer after every response without a body."""

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            with pytest.raises(RequestTimeout, match="silent"):
                async with asyncio.timeout(20):
                    await post(transport, way, limits(first_byte=0.3, total=None))
            assert await is_idle(transport)


async def test_does_not_reuse_a_connection_that_switched_protocols() -> None:
    """aiohttp's parser goes on with HTTP after a 101 that names no protocol."""
    with FaultServer(says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")) as server:
        async with opened(server.url) as transport:
            for _ in range(2):
                assert (await seen(post(transport))).status == 101
        assert len(server.connections) == 2


async def test_an_error_names_the_url_of_the_request() -> None:
    with FaultServer(says(b"nonsense\r\n\r\n")) as server:
        async with opened(f"{server.url}/a/b") as transport:
            with pytest.raises(
                ResponseFormatError, match=re.escape(f"{server.url}/a/b/api/projects/acme")
            ):
                await post(transport)


async def test_reads_a_response_that_was_sent_before_the_request() -> None:
    """The server refuses every connection and closes it."""

    class Refusing(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            await connection.send(json_response({"error": "full"}, 503, connection="close"))
            await connection.until_gone()

    with Refusing() as server:
        async with opened(server.url) as transport:
            assert [(await seen(post(transport))).status for _ in range(3)] == [503] * 3
            assert await is_idle(transport)
            assert await pooled(transport) == []


async def test_reads_a_response_that_was_sent_before_the_request_was_read() -> None:
    """The connection was reset after the response. The unsent rest of the request is dropped."""

    class Hasty(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            await connection.reader.readuntil(b"\r\n\r\n")
            await connection.send(json_response({"error": "too large"}, 413))
            await asyncio.sleep(0.05)
            connection.reset()

    with Hasty() as server:
        async with opened(server.url) as transport:
            for _ in range(3):
                call = transport.request(request(b"x" * SMALL_BODY))
                assert (await seen(call)).status == 413
                await asyncio.sleep(0.1)
        assert len(server.connections) == 3


async def test_does_not_reuse_a_connection_with_unsent_bytes() -> None:
    """The unsent rest of a request would be sent in front of the next request."""

    def narrow(address: Any) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    class Hasty(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            await connection.reader.readuntil(b"\r\n\r\n")
            await connection.send(GOOD)
            await asyncio.sleep(0.3)

    with Hasty(room=4096) as server:
        async with aiohttp.ClientSession(
            connector=Connector(limit=0, socket_factory=narrow)
        ) as http:
            fast_path = FastPath(server.url, {}, http)
            for body in (b"x" * SMALL_BODY, b"{}"):
                reply = await fast_path.send(request(body, limits(connect=5, first_byte=5)), 5)
                while await reply.content.readany():
                    pass
                assert reply.connection is None
            await asyncio.sleep(0)
        assert len(server.connections) == 2


# Connections: which ones are used, and when they are closed.


async def test_the_fast_path_and_the_session_share_one_pool() -> None:
    """Fails if a new aiohttp uses another key in its pool, or another protocol."""
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            for way in ("fast", "session", "session", "fast", "fast"):
                await post(transport, way)
                (protocol,) = await pooled(transport)
                assert type(protocol) is ConnectionProtocol
        assert len(server.connections) == 1


@WAYS
@pytest.mark.parametrize(
    "word",
    [
        POISON,
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"\r\n",
        b"x",
        b"HTTP/1.1 408 Request Timeout\r\n\r\n",
    ],
    ids=["an answer", "half an answer", "a line", "a letter", "a farewell"],
)
@pytest.mark.parametrize("after", ["fast", "session"])
async def test_does_not_reuse_a_connection_that_received_data_while_idle(
    after: str, word: bytes, way: str
) -> None:
    async def speaks(connection: Connection, request: Request) -> None:
        await connection.send(GOOD)
        await asyncio.sleep(0.2)
        await connection.send(word)

    with FaultServer(speaks, good) as server:
        async with opened(server.url) as transport:
            await post(transport, after)
            await asyncio.sleep(0.4)
            assert (await post(transport, way)).body == b'{"good": true}'
        assert len(server.connections) == 2


@WAYS
async def test_after_one_dead_pooled_connection_a_new_one_is_opened(way: str) -> None:
    """All of them died at the same time while they were idle. The policy has one attempt."""

    async def dies_at_the_second(connection: Connection, request: Request) -> None:
        if connection.served == 1:
            await asyncio.sleep(0.05)
            await connection.send(GOOD)
        else:
            connection.reset()

    with FaultServer(dies_at_the_second) as server:
        async with opened(server.url, retry=RetryPolicy(max_attempts=1)) as transport:
            await asyncio.gather(*(post(transport, way) for _ in range(5)))
            assert len(await pooled(transport)) == 5
            answer = await post(transport, way)
            assert (answer.status, answer.attempts) == (200, 2)
        assert (len(server.connections), len(server.requests)) == (6, 7)


async def test_a_dropped_new_connection_is_not_stale() -> None:
    with FaultServer(says(then="close"), good) as server:
        async with opened(server.url) as transport:
            with pytest.raises(
                TransportError, match="closed the connection without a response"
            ) as caught:
                await post(transport)
            assert caught.value.attempts == 1
        assert len(server.requests) == 1


async def test_connections_are_not_limited() -> None:
    async def together(connection: Connection, request: Request) -> None:
        while len(server.requests) < 150:  # noqa: ASYNC110 (the server counts in a loop of its own)
            await asyncio.sleep(0.01)
        await connection.send(GOOD)

    with FaultServer(together) as server:
        async with opened(server.url) as transport:
            async with asyncio.timeout(20):
                await asyncio.gather(*(post(transport) for _ in range(150)))
            assert len(await pooled(transport)) == 150


async def test_a_response_that_was_read_is_collected() -> None:
    """No timer, callback or exception keeps the connection or the response alive."""
    with FaultServer(says(json_response(BODY, connection="close"))) as server:
        async with opened(server.url) as transport:
            fast_path = (await transport._sessions.get()).fast_path
            assert fast_path is not None
            reply = await fast_path.send(request(b"{}", limits(connect=5, first_byte=600)), 600)
            watched = [weakref.ref(reply), weakref.ref(reply._protocol)]
            while await reply.content.readany():
                pass
            del reply
            await asyncio.sleep(0.05)
            gc.collect()
            assert [each() for each in watched] == [None, None]


# Calls that the caller leaves.


@pytest.fixture
def silent() -> Any:
    """A server that stops sending at a chosen point; ``stage`` is what the caller waits for."""

    class Silent(FaultServer):
        stage = "head"

        async def _connection(self, connection: Connection) -> None:
            if self.stage == "heal":
                await super()._connection(connection)
                return
            await connection.reader.readuntil(b"}")
            if self.stage == "half a head":
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-")
            elif self.stage == "interim":
                await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif self.stage == "body":
                await connection.send(head(content_length="100"), b"{")
            elif self.stage == "error's body":
                await connection.send(head(500, content_length="100"), b"{")
            self.requests.append(Request("", "", {}, b""))
            await connection.until_gone()

    with Silent(good) as server:
        yield server


STAGES = pytest.mark.parametrize(
    "stage", ["head", "half a head", "interim", "body", "error's body"]
)


@WAYS
@STAGES
@pytest.mark.parametrize("how", ["cancel", "timeout", "aclose"])
async def test_leaving_a_call_closes_the_connection(
    how: str, stage: str, way: str, silent: Any
) -> None:
    silent.stage = stage
    before = asyncio.all_tasks()
    async with opened(silent.url) as transport:
        task = asyncio.ensure_future(post(transport, way))
        await until(lambda: bool(silent.requests))
        await asyncio.sleep(0.05)
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        elif how == "timeout":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 0.01)
        else:
            await transport.aclose()
            kind = ServerError if stage == "error's body" else ConfigurationError
            with pytest.raises(kind):
                await asyncio.wait_for(task, 2)
        await until(silent.connections[0].gone.is_set)
        if how == "aclose":
            return
        assert await pooled(transport) == []
        assert await is_idle(transport)
        silent.stage = "heal"
        assert (await post(transport)).status == 200
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("how", ["cancel", "total", "connect"])
async def test_leaving_a_call_while_it_connects(how: str) -> None:
    """TLS with a server that never sends anything."""

    class Mute(FaultServer):
        async def _connection(self, connection: Connection) -> None:
            await connection.until_gone()

    with Mute() as server:
        async with opened(server.url.replace("http", "https")) as transport:
            given = limits(**({} if how == "cancel" else {how: 0.2}))
            task = asyncio.ensure_future(post(transport, timeouts=given))
            if how == "cancel":
                await until(lambda: bool(server.connections))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                match = (
                    "total timeout"
                    if how == "total"
                    else "no connection within the connect timeout"
                )
                with pytest.raises(RequestTimeout, match=match):
                    await asyncio.wait_for(task, 10)
            await until(server.connections[0].gone.is_set)
            assert await is_idle(transport)


async def test_a_call_that_is_cancelled_right_after_its_request() -> None:
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            await post(transport)
            for _ in range(3):
                task = asyncio.ensure_future(post(transport))
                await asyncio.sleep(0)  # the request is written, and no response has arrived
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await pooled(transport) == []
                assert (await post(transport)).body == b'{"good": true}'


async def test_closing_a_body_ends_its_reader() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(CHUNKED, chunk(b"a"))
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            body = await transport.stream(request(b"{}", limits(total=None)))
            assert await body.read() == b"a"
            reading = asyncio.ensure_future(body.read())
            await asyncio.sleep(0.02)
            body.close()
            with pytest.raises(TransportError, match="Connection closed"):
                await asyncio.wait_for(reading, 5)
            await until(server.connections[0].gone.is_set)
            body.close()  # a second time has no effect
            assert await is_idle(transport)


async def test_errors_do_not_keep_streams_alive() -> None:
    """aiohttp raises one object for all closed connections; it must not hold our frames."""

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(CHUNKED, chunk(b"a"))
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            seen: list[weakref.ref[Any]] = []
            for _ in range(3):
                body = await transport.stream(request(b"{}", limits(total=None)))
                await body.read()
                seen.append(weakref.ref(body))
                body.close()
                with contextlib.suppress(TransportError):
                    await body.read()
                del body
            gc.collect()
            assert [each() for each in seen] == [None] * 3


def test_a_stream_can_be_closed_after_its_loop() -> None:
    """The loop was closed without closing the stream. Closing it afterwards raises no error."""

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head())
        await connection.until_gone()

    with FaultServer(script) as server:
        code, out, err = run_program(
            """
            import asyncio, sys
            from inferencekey import AsyncDataClient

            async def begin():
                return await data.endpoint("bot").generate_text_stream("x")

            data = AsyncDataClient(base_url=sys.argv[1], project="acme", api_key=sys.argv[2])
            loop = asyncio.new_event_loop()
            stream = loop.run_until_complete(begin())
            loop.close()
            asyncio.run(stream.aclose())
            asyncio.run(data.aclose())
            print("closed")
            """,
            server.url,
            KEY,
        )
    assert (code, out.strip()) == (0, "closed"), err


# Private names of aiohttp.


async def test_the_default_headers_of_aiohttp_are_known() -> None:
    """Fails if a new aiohttp adds a default header, because every request would send it."""
    async with aiohttp.ClientSession() as http:
        fast_path = FastPath("http://a.test", {}, http)
        names = {line.partition(":")[0] for line in fast_path._common_lines.splitlines()}
        assert names == {"Host", "Accept", "Accept-Encoding", "User-Agent"}


async def test_a_fast_response_equals_the_one_of_a_session() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(
            json_response(b'{"a": 1}', content_type_="x", x_request_id="r-1").replace(
                b"application/json", b"Application/JSON; charset=utf-8"
            )
        )

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            session = await transport._sessions.get()
            assert session.fast_path is not None
            theirs: Any = await session.http.post(server.url, data=b"{}")
            ours: Any = await session.fast_path.send(
                request(b"{}", limits(connect=5, first_byte=5)), 5
            )
            for name in ("status", "headers", "content_type"):
                assert getattr(ours, name) == getattr(theirs, name)
            assert type(ours.content) is type(theirs.content)
            assert ours.headers["X-REQUEST-ID"] == "r-1"
            assert await theirs.content.readany() == await ours.content.readany() == b'{"a": 1}'
            assert ours.connection is theirs.connection is None


async def test_a_refused_connection_names_the_address() -> None:
    with FaultServer() as server:
        url = server.url
    began = time.monotonic()
    async with opened(url) as transport:
        with pytest.raises(TransportError, match=r"cannot connect to 127\.0\.0\.1:\d+"):
            await post(transport)
        assert not (await connector(transport))._acquired
    assert time.monotonic() - began < 10
