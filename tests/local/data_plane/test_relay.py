"""An engine's stream, relayed to the caller over real sockets on both sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import attrs
import pytest
from aiohttp import web

from inferencekey.local.data_plane.engine_client import engine_connector
from inferencekey.local.data_plane.streams.relay import relay

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

Engine = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = HEAD + b"Connection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["0", "1"], ids=["ours", "plain"], autouse=True)
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the connections to engines are of plain aiohttp classes."""
    monkeypatch.setenv("INFERENCEKEY_PLAIN_AIOHTTP", request.param)
    return request.param == "1"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@attrs.frozen
class Caller:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, line: str = "POST / HTTP/1.1") -> None:
        self.writer.write(f"{line}\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def through(engine: Engine, *, ends_with_done: bool = True) -> AsyncGenerator[Caller]:
    """Connect a caller to a gateway that only relays, with *engine* behind it.

    The caller has not sent a request yet.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await engine(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await session.post(address)
        try:
            return await relay(request, answer, ends_with_done=ends_with_done)
        finally:
            answer.close()

    served = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}"
    app = web.Application()
    app.add_routes([web.route("*", "/", handle)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    async with aiohttp.ClientSession(connector=engine_connector()) as session:
        await site.start()
        port = runner.addresses[0][1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        try:
            yield Caller(reader, writer)
        finally:
            writer.close()
            await runner.cleanup()
            served.close()


async def test_an_event_arrives_before_the_next_is_sent() -> None:
    asked = asyncio.Semaphore(0)

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        for number in range(20):
            await asked.acquire()
            writer.write(chunk(b"data: %d\n\n" % number))
        await asked.acquire()
        writer.write(chunk(DONE) + b"0\r\n\r\n")

    async with through(engine) as caller:
        await caller.ask()
        for number in range(20):
            asked.release()
            event = b"data: %d\n\n" % number
            assert await caller.reader.readexactly(len(chunk(event))) == chunk(event)
        asked.release()
        assert await caller.reader.readexactly(len(chunk(DONE)) + 5) == chunk(DONE) + b"0\r\n\r\n"


async def test_a_chunk_that_is_one_event_is_relayed_unchanged(plain: bool) -> None:
    """The size has its leading zeros, so the relay does not read through aiohttp."""
    event = b"00000B\r\ndata: abc\n\n\r\n"
    # Plain aiohttp classes take the chunks apart, and they are written anew.
    relayed = chunk(b"data: abc\n\n") if plain else event

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await asyncio.sleep(0.05)
        writer.write(event)
        await asyncio.sleep(0.05)
        writer.write(chunk(DONE) + b"0\r\n\r\n")

    async with through(engine) as caller:
        await caller.ask()
        assert await caller.reader.readuntil(b"0\r\n\r\n") == relayed + chunk(DONE) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        [CHUNKED + chunk(b"data: x\n\n") + chunk(DONE) + b"0\r\n\r\n"],
        [CHUNKED, chunk(b"data: x\n\n"), chunk(DONE), b"0\r\n\r\n"],
        [
            CHUNKED + b"9\r",
            b"\ndata: ",
            b"x\n",
            b"\n\r",
            b"\n",
            chunk(DONE) + b"0\r",
            b"\n\r",
            b"\n",
        ],
        [
            CHUNKED + chunk(b"da"),
            chunk(b"ta: x\n\ndata: [D"),
            chunk(b"ONE]\n\n") + b"0\r\nX: y\r\n\r\n",
        ],
        [TO_THE_END + b"data: x\n", b"\n" + DONE],
        [HEAD + b"Content-Length: 23\r\n\r\ndata: x\n", b"\n" + DONE],
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_relays_the_same_bytes_for_all_splits_and_framings(
    sent: list[bytes], version: str
) -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with through(engine) as caller:
        await caller.ask(f"POST / HTTP/{version}")
        if version == "1.0":
            assert await caller.reader.read() == b"data: x\n\n" + DONE
            return
        text = await caller.reader.readuntil(b"0\r\n\r\n")
        assert text in (
            chunk(b"data: x\n\n") + chunk(DONE) + b"0\r\n\r\n",
            chunk(b"data: x\n\n" + DONE) + b"0\r\n\r\n",
        )
        await caller.ask()  # the connection can be used again
        assert await caller.reader.readuntil(b"0\r\n\r\n") == text


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (CHUNKED + chunk(b"data: x\n\n"), b"data: x\n\n"),
        (CHUNKED + chunk(b"data: x\n\ndata: half"), b"data: x\n\n"),
        (CHUNKED + chunk(b"data: x\n\n") + b"0\r\n\r\n", b"data: x\n\n"),
        (HEAD + b"Content-Length: 99\r\n\r\ndata: x\n\ndata: ha", b"data: x\n\n"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_broken_stream_ends_with_an_error_event_and_no_last_chunk(
    sent: bytes, kept: bytes, at_once: bool
) -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, blank, body = sent.partition(b"\r\n\r\n")
        for part in [sent] if at_once else [head + blank, body]:
            writer.write(part)
            await asyncio.sleep(0.05)

    async with through(engine) as caller:
        await caller.ask()
        text = await caller.reader.read()
    sizes, _, rest = text.rpartition(b"data: {")
    assert json.loads(b"{" + rest)["error"]["code"] == "engine_died"
    assert kept in sizes
    assert b"half" not in text
    assert not text.endswith(b"0\r\n\r\n")


async def test_a_body_that_stops_being_chunked_is_broken(plain: bool) -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await asyncio.sleep(0.05)
        writer.write(chunk(b"data: x\n\n") + b"zz\r\n")
        await reader.read()

    async with through(engine, ends_with_done=False) as caller:
        await caller.ask()
        if plain:
            # aiohttp does not end the reader, so the caller's stream stays open until the caller
            # leaves.
            await caller.reader.readuntil(chunk(b"data: x\n\n"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await caller.reader.read()
            return
        text = await caller.reader.read()
    assert text.startswith(chunk(b"data: x\n\n"))
    assert b"engine_died" in text
    assert not text.endswith(b"0\r\n\r\n")


async def test_without_required_done_the_rest_is_sent_too() -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        writer.write(chunk(b"data: x\n\ndata: no end") + b"0\r\n\r\n")

    async with through(engine, ends_with_done=False) as caller:
        await caller.ask()
        text = await caller.reader.readuntil(b"0\r\n\r\n")
    assert text == chunk(b"data: x\n\n") + chunk(b"data: no end") + b"0\r\n\r\n"


@pytest.mark.parametrize("head", [CHUNKED, TO_THE_END])
async def test_a_slow_caller_slows_the_engine_and_loses_nothing(head: bytes) -> None:
    event = b"data: " + b"x" * 50_000 + b"\n\n"
    count = 2000
    written = 0

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        framed = chunk if head is CHUNKED else bytes
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        for _ in range(count):
            writer.write(framed(event))
            await writer.drain()
            written += 1
        writer.write(framed(DONE) + (b"0\r\n\r\n" if head is CHUNKED else b""))

    async with through(engine) as caller:
        transport = caller.writer.transport
        await caller.ask()
        transport.pause_reading()
        before = -1
        while written != before:  # until no more is written
            before = written
            await asyncio.sleep(0.3)
        assert written < count / 2, "the engine is paused, and the gateway buffers nothing"
        transport.resume_reading()
        text = bytearray()
        while not text.endswith(b"\r\n0\r\n\r\n"):
            text += await caller.reader.read(2**20)
    assert text.count(event) == count
    assert DONE in text


@pytest.mark.parametrize("held", [False, True])
async def test_closing_the_callers_connection_closes_the_engines(held: bool) -> None:
    """In the middle of a stream, and while reading from the engine is paused."""
    gone = asyncio.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await asyncio.sleep(0.05)
        writer.write(chunk(b"data: " + b"x" * (8_000_000 if held else 1) + b"\n\n"))
        try:
            assert await reader.read() == b""
        finally:
            gone.set()

    async with through(engine) as caller:
        await caller.ask()
        caller.writer.transport.pause_reading()
        await asyncio.sleep(0.2)
        assert not gone.is_set()
        caller.writer.transport.abort()
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_head_request_gets_no_body() -> None:
    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk(DONE) + b"0\r\n\r\n")

    async with through(engine) as caller:
        await caller.ask("HEAD / HTTP/1.1")
        await caller.ask()  # the next bytes are the next response
        assert await caller.reader.readuntil(b"0\r\n\r\n") == chunk(DONE) + b"0\r\n\r\n"
