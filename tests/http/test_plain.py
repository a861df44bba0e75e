"""Plain aiohttp classes: when they are used, what the log has then, and what is different."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

import aiohttp.client_proto
import pytest
from faults import Connection, FaultServer, Request, chunk, head, json_response
from faults.calls import KEY
from faults.programs import run_program
from faults.ways import limits, opened, pooled, post, request, until

from inferencekey import ConfigurationError, RequestTimeout, RetryPolicy, Timeouts, config

pytestmark = pytest.mark.anyio

CHUNKED = head(content_type="text/event-stream", transfer_encoding="chunked")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCEKEY_PLAIN_AIOHTTP", "1")


async def good(connection: Connection, request: Request) -> None:
    await connection.send(json_response({"good": True}))


@pytest.mark.parametrize(
    ("version", "variable", "plain"),
    [
        ("3.14.2", None, False),
        ("3.14.99", "", False),
        ("3.14.5", "0", False),
        ("3.14.5", "1", True),
        ("3.14.5", " 1 ", True),
        ("3.15.0", None, True),
        ("3.15.0", "0", True),
        ("3.15.0a1", None, True),
        ("3.140.1", None, True),
        ("4.0", None, True),
        ("unknown", None, True),
    ],
)
def test_when_plain_classes_are_used(version: str, variable: str | None, plain: bool) -> None:
    environ = {} if variable is None else {"INFERENCEKEY_PLAIN_AIOHTTP": variable}
    assert config.plain_aiohttp(version, environ) is plain


def test_the_installed_aiohttp_is_one_that_is_tested() -> None:
    """When the tests pass with a new minor version, add it to ``config.TESTED_AIOHTTP``."""
    assert not config.plain_aiohttp(aiohttp.__version__, {})


async def test_uses_the_classes_of_aiohttp(plain: None) -> None:
    with FaultServer(good) as server:
        async with opened(server.url) as transport:
            assert (await post(transport)).status == 200
            session = await transport._sessions.get()
            assert session.fast_path is None
            assert type(session.http.connector) is aiohttp.TCPConnector
            (protocol,) = await pooled(transport)
            assert type(protocol) is aiohttp.client_proto.ResponseHandler
            assert (await post(transport)).status == 200
        assert len(server.connections) == 1


PROGRAM = """
import asyncio, sys, aiohttp
if sys.argv[3]:
    aiohttp.__version__ = sys.argv[3]
from inferencekey import AsyncDataClient

async def main():
    for _ in range(2):
        given = {"base_url": sys.argv[1], "project": "acme", "api_key": sys.argv[2]}
        async with AsyncDataClient(**given) as data:
            await data.endpoint("bot").embed("x")

asyncio.run(main())
ours = ("connections", "fast_path")
print(*[name for name in ours if f"inferencekey._http.{name}" in sys.modules])
"""


async def embeds(connection: Connection, request: Request) -> None:
    await connection.send(json_response({"data": [{"index": 0, "embedding": [1.0]}]}))


@pytest.mark.parametrize(
    ("variable", "version", "why"),
    [
        ("1", "", r"INFERENCEKEY_PLAIN_AIOHTTP=1"),
        ("", "3.99.1", r"aiohttp 3\.99\.1 was not tested"),
        ("", "", None),
    ],
)
def test_the_log_has_one_line_and_the_other_classes_are_not_imported(
    variable: str, version: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCEKEY_PLAIN_AIOHTTP", variable)
    monkeypatch.setenv("INFERENCEKEY_LOG", "info")
    with FaultServer(embeds) as server:
        code, out, err = run_program(PROGRAM, server.url, KEY, version)
    assert code == 0, err
    lines = re.findall(r"^.* inferencekey WARNING plain aiohttp classes are used .*$", err, re.M)
    if why is None:
        assert lines == []
        assert out.split() == ["connections", "fast_path"]
    else:
        assert len(lines) == 1
        assert re.search(why, lines[0])
        assert out.split() == []


def test_the_notice_is_returned_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "inferencekey")
    monkeypatch.setattr(config, "_noticed", False)
    on = {"INFERENCEKEY_PLAIN_AIOHTTP": "1"}
    assert config.plain_aiohttp_notice("3.14.5", {}) is None
    assert "INFERENCEKEY_PLAIN_AIOHTTP=1" in (config.plain_aiohttp_notice("3.14.5", on) or "")
    assert config.plain_aiohttp_notice("3.14.5", on) is None


# Deadlines and connections.


@pytest.mark.parametrize(
    ("given", "steps", "at_least"),
    [
        ({"first_byte": 0.3, "read": 0.3}, [], 0.3),
        ({"first_byte": 0.3, "read": 0.3}, [CHUNKED], 0.3),
        ({"first_byte": 30, "read": 0.3}, [CHUNKED, chunk(b"x")], 0.3),
        # aiohttp has one limit for both, so the first byte may take as long as a later silence.
        ({"first_byte": 0.1, "read": 0.5}, [], 0.5),
    ],
    ids=["no head", "no body", "a stop", "the longer one"],
)
async def test_silence_is_limited(
    given: dict[str, Any], steps: list[bytes], at_least: float, plain: None
) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(*steps)
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            began = time.monotonic()
            with pytest.raises(RequestTimeout, match="silent"):
                await post(transport, timeouts=limits(**given))
            assert at_least - 0.02 <= time.monotonic() - began < at_least + 3
        assert server.connections[0].gone.wait(2)


async def test_the_total_holds_for_the_body_too(plain: None) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(CHUNKED)
        for _ in range(200):
            await connection.send(chunk(b"x"), pause=0.02)

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            with pytest.raises(RequestTimeout, match="total"):
                await post(transport, timeouts=limits(total=0.4))


async def test_without_a_limit_any_silence_is_allowed(plain: None) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await asyncio.sleep(0.2)
        await connection.send(CHUNKED, chunk(b"x"), chunk(b""), pause=0.2)

    none = Timeouts(connect=None, first_byte=None, read=None, total=None)
    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            assert (await post(transport, timeouts=none)).body == b"x"


async def test_a_session_of_the_callers_own_is_read_by_public_names(plain: None) -> None:
    with FaultServer(good) as server:
        async with opened(server.url, session_factory=aiohttp.ClientSession) as transport:
            assert (await post(transport)).body == b'{"good": true}'
            assert (await transport._sessions.get()).plain


async def test_a_stream_that_is_closed_ends_its_reader(plain: None) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(CHUNKED, chunk(b"a"))
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            stream = await transport.stream(request(b"{}", limits(total=None)))
            assert await stream.read() == b"a"
            reading = asyncio.ensure_future(stream.read())
            await asyncio.sleep(0.02)
            await transport.aclose()
            with pytest.raises(Exception, match="Connection closed"):
                await asyncio.wait_for(reading, 5)
        assert server.connections[0].gone.wait(2)


async def test_a_call_that_reads_while_the_client_closes_ends_when_read_has_passed(
    plain: None,
) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(head(content_length="100"), b"{")
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            task = asyncio.ensure_future(post(transport, timeouts=limits(read=0.5)))
            await until(lambda: bool(server.requests))
            await asyncio.sleep(0.1)
            await transport.aclose()
            with pytest.raises(ConfigurationError, match="the client is closed"):
                await asyncio.wait_for(task, 5)


async def test_after_an_interim_response_only_the_total_ends_the_call(plain: None) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await connection.until_gone()

    with FaultServer(script) as server:
        async with opened(server.url) as transport:
            with pytest.raises(RequestTimeout, match="total"):
                await post(transport, timeouts=limits(first_byte=0.1, read=0.1, total=0.6))


async def test_each_dead_pooled_connection_takes_an_attempt(plain: None) -> None:
    async def dies_at_the_second(connection: Connection, request: Request) -> None:
        if connection.served == 1:
            await asyncio.sleep(0.1)
            await connection.send(json_response({"good": True}))
        else:
            connection.reset()

    with FaultServer(dies_at_the_second) as server:
        async with opened(server.url, retry=RetryPolicy(max_attempts=1)) as transport:
            await asyncio.gather(*(post(transport) for _ in range(3)))
            assert (await post(transport)).attempts == 4


async def test_the_gateway_uses_aiohttps_own_connector(plain: None) -> None:
    from inferencekey.local.data_plane.engine_client import engine_connection, engine_connector

    with FaultServer(good) as server:
        async with aiohttp.ClientSession(connector=engine_connector()) as session:
            assert type(session.connector) is aiohttp.TCPConnector
            for _ in range(2):
                async with session.get(server.url) as response:
                    assert engine_connection(response) is None
                    assert await response.read() == b'{"good": true}'
        assert len(server.connections) == 2
