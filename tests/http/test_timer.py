"""The deadlines of a connection, which one timer checks."""

from __future__ import annotations

import asyncio
import gc
import gzip
import importlib.util
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, Script, chunk, head, json_response
from faults.ways import BODIES, connector, is_idle, limits, opened, pooled, post, request

from inferencekey import RequestTimeout, Timeouts
from inferencekey._http.connections import ConnectionProtocol
from inferencekey._http.transport import Transport

GOOD = json_response({"good": True})
CHUNKED = head(content_type="text/event-stream", transfer_encoding="chunked")

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
WAYS = pytest.mark.parametrize("way", list(BODIES))


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


Run = Callable[[Coroutine[Any, Any, Any]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on each kind of loop."""

    def run(main: Coroutine[Any, Any, Any]) -> None:
        with asyncio.Runner(loop_factory=lambda: new_loop(request.param)) as runner:
            runner.run(main)

    return run


def script(*steps: bytes | float, hold: bool = True) -> Script:
    """Sends bytes and waits seconds, in turn. Then it waits until the client leaves."""

    async def one(connection: Connection, request: Request) -> None:
        for step in steps:
            if isinstance(step, bytes):
                await connection.send(step)
            else:
                await asyncio.sleep(step)
        if hold:
            await connection.until_gone()

    return one


async def drain(transport: Transport, way: str, timeouts: Timeouts) -> bytes:
    """Read a stream to its end."""
    body = await transport.stream(request(BODIES[way], timeouts))
    found = b""
    try:
        while part := await body.read():
            found += part
    finally:
        body.close()
    return found


class Clock:
    """Measures the time of a block."""

    def __enter__(self) -> Clock:
        self._began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._began


@WAYS
@pytest.mark.parametrize(
    ("steps", "deadline", "says", "at_least"),
    [
        ([], {"first_byte": 0.3}, "silent", 0.3),
        ([0.2, b"HTTP/1.1 200 OK\r\n"], {"first_byte": 0.3}, "silent", 0.5),
        ([CHUNKED], {"read": 0.3}, "silent", 0.3),
        ([CHUNKED, *[chunk(b"x"), 0.2] * 3], {"read": 0.3}, "silent", 0.7),
        ([CHUNKED, *[chunk(b"x"), 0.05] * 60], {"total": 0.4}, "total", 0.4),
        ([], {"total": 0.3}, "total", 0.3),
        ([0.1, CHUNKED, 0.1, b"1"], {"total": 0.4, "first_byte": 0.3, "read": 0.35}, "total", 0.4),
    ],
    ids=[
        "no head",
        "half a head",
        "no body",
        "chunks, then none",
        "chunks for ever",
        "total, no head",
        "the nearest",
    ],
)
def test_a_deadline_passes_in_time(
    steps: list[Any], deadline: dict[str, float], says: str, at_least: float, way: str, run: Run
) -> None:
    async def main() -> None:
        with FaultServer(script(*steps)) as server:
            async with opened(server.url) as transport:
                with Clock() as clock, pytest.raises(RequestTimeout, match=says):
                    await post(transport, way, limits(**deadline))
                # A loop may wake up a tick of its clock early.
                assert at_least - 0.02 <= clock.seconds < at_least + 2
                assert await is_idle(transport)
                assert await pooled(transport) == []

    run(main())


@WAYS
def test_each_byte_restarts_the_silence(way: str, run: Run) -> None:
    async def main() -> None:
        pieces = [CHUNKED, *[0.2, chunk(b"x")] * 6, chunk(b"")]
        with FaultServer(script(*pieces)) as server:
            async with opened(server.url) as transport:
                assert (
                    await drain(transport, way, limits(read=0.6, first_byte=0.6, total=None))
                    == b"xxxxxx"
                )

    run(main())


@WAYS
@pytest.mark.parametrize("first", list(BODIES))
def test_a_shorter_limit_replaces_a_longer_one_on_the_same_connection(
    first: str, way: str, run: Run
) -> None:
    async def main() -> None:
        with FaultServer(script(GOOD, hold=False), script()) as server:
            async with opened(server.url) as transport:
                await post(transport, first, limits(first_byte=600, total=600))
                with Clock() as clock, pytest.raises(RequestTimeout, match="silent"):
                    await post(transport, way, limits(first_byte=0.3, total=600))
                assert clock.seconds < 3
            assert len(server.connections) == 1

    run(main())


@WAYS
@pytest.mark.parametrize("first", list(BODIES))
@pytest.mark.parametrize("deadline", ["first_byte", "total", "read"])
def test_a_limit_ends_with_its_request(deadline: str, first: str, way: str, run: Run) -> None:
    """It ends neither the idle connection nor a later request with a longer limit."""

    async def main() -> None:
        with FaultServer(script(GOOD, hold=False), script(1.0, GOOD, hold=False)) as server:
            async with opened(server.url) as transport:
                await post(transport, first, limits(**{deadline: 0.4}))
                await asyncio.sleep(0.6)
                await post(transport, way, limits())
                assert len(await pooled(transport)) == 1
            assert len(server.connections) == 1

    run(main())


@WAYS
def test_without_a_deadline_any_silence_is_allowed(way: str, run: Run) -> None:
    async def main() -> None:
        none = Timeouts(connect=None, first_byte=None, read=None, total=None)
        with FaultServer(script(0.3, CHUNKED, 0.3, chunk(b"x"), chunk(b""))) as server:
            async with opened(server.url) as transport:
                assert (await post(transport, way, none)).body == b"x"

    run(main())


FLOOD = 4 * 2**20


@WAYS
def test_a_slow_reader_does_not_count_as_silence(way: str, run: Run) -> None:
    """While the buffer of the reader is full, the client does not read from the socket."""

    async def main() -> None:
        piece = chunk(b"x" * 2**18)
        with FaultServer(script(CHUNKED, *[piece] * (FLOOD // 2**18), chunk(b""))) as server:
            async with opened(server.url) as transport:
                body = await transport.stream(request(BODIES[way], limits(read=0.3, total=None)))
                await asyncio.sleep(0.8)
                found = 0
                while part := await body.read():
                    found += len(part)
                assert found == FLOOD

    run(main())


PACKED = gzip.compress(b"x" * FLOOD)
MUCH = {
    "packed": head(content_encoding="gzip", content_length=str(len(PACKED))) + PACKED,
    "tiny chunks": CHUNKED + chunk(b"x") * 200_000 + chunk(b""),
}


@WAYS
@pytest.mark.parametrize("answer", MUCH)
def test_a_slow_reader_of_one_large_read_does_not_count_as_silence(
    answer: str, way: str, run: Run
) -> None:
    """One read from the socket fills the buffer of the reader several times."""

    async def main() -> None:
        with FaultServer(script(MUCH[answer], hold=False)) as server:
            async with opened(server.url) as transport:
                body = await transport.stream(request(BODIES[way], limits(read=0.2, total=None)))
                found = pauses = 0
                await asyncio.sleep(0.5)
                while part := await body.read():
                    found += len(part)
                    if pauses < 4:
                        pauses += 1
                        await asyncio.sleep(0.5)
                assert (found, pauses) == (FLOOD if answer == "packed" else 200_000, 4)

    run(main())


@WAYS
def test_silence_counts_again_after_a_slow_reader(way: str, run: Run) -> None:
    async def main() -> None:
        piece = chunk(b"x" * 2**18)
        with FaultServer(script(CHUNKED, *[piece] * (FLOOD // 2**18))) as server:
            async with opened(server.url) as transport:
                body = await transport.stream(request(BODIES[way], limits(read=0.4, total=None)))
                await asyncio.sleep(0.6)
                found = 0
                with Clock() as clock, pytest.raises(RequestTimeout, match="silent"):
                    while part := await body.read():
                        found += len(part)
                assert found == FLOOD
                assert 0.3 < clock.seconds < 5

    run(main())


def test_what_arrived_before_the_deadline_is_read_after_it(run: Run) -> None:
    """Also if the reader begins to read after the deadline."""

    async def main() -> None:
        with FaultServer(script(CHUNKED, chunk(b"early"))) as server:
            async with opened(server.url) as transport:
                for deadline in ({"read": 0.2, "total": None}, {"read": 30, "total": 0.2}):
                    given = limits(**deadline)  # type: ignore[arg-type]
                    body = await transport.stream(request(b"{}", given))
                    await asyncio.sleep(0.5)
                    assert await body.read() == b"early"
                    with pytest.raises(RequestTimeout):
                        await body.read()

    run(main())


def test_a_body_that_arrived_in_time_can_be_read_late(run: Run) -> None:
    async def main() -> None:
        with FaultServer(script(GOOD, hold=False)) as server:
            async with opened(server.url) as transport:
                given = limits(read=0.2, total=0.2, first_byte=0.2)
                body = await transport.stream(request(b"{}", given))
                await asyncio.sleep(0.5)
                assert await body.read() == b'{"good": true}'
                assert await body.read() == b""
                assert len(await pooled(transport)) == 1

    run(main())


class Counting(asyncio.SelectorEventLoop):
    """Counts the timers."""

    timers = 0

    def call_at(self, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*arguments, **options)


@WAYS
def test_reads_set_no_timers(way: str) -> None:
    """Fails if a new aiohttp sets its timers in methods that are not replaced."""

    async def main() -> None:
        pieces = [CHUNKED, *[chunk(b"x"), 0.001] * 300, chunk(b"")]
        with FaultServer(script(*pieces)) as server:
            async with opened(server.url) as transport:
                reads = 0
                body = await transport.stream(request(BODIES[way], limits()))
                before = loop.timers
                while await body.read():
                    reads += 1
                assert reads > 30
                assert loop.timers - before <= 2

    loop = Counting()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_calls_on_a_pooled_connection_set_no_timers() -> None:
    async def main() -> None:
        with FaultServer(script(GOOD, hold=False)) as server:
            async with opened(server.url) as transport:
                await post(transport)
                before = loop.timers
                for _ in range(100):
                    await post(transport)
                assert loop.timers - before <= 2
            assert len(server.connections) == 1

    loop = Counting()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_a_closed_connection_leaves_no_timer_and_is_collected() -> None:
    async def main() -> None:
        with FaultServer(script(json_response({}, connection="close"), hold=False)) as server:
            async with opened(server.url) as transport:
                for way in BODIES:
                    await post(transport, way, limits(first_byte=600, total=600, read=600))
                assert not (await connector(transport))._acquired
            await asyncio.sleep(0.05)
            gc.collect()
            assert not [each for each in gc.get_objects() if type(each) is ConnectionProtocol]

    asyncio.run(main())
