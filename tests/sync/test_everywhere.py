"""One sync client in many threads, with many open streams and inside running loops.

Every test checks that no file stays open.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, events, sse_head
from faults.calls import KEY
from faults.lab import Lab
from faults.load import QuickServer, allow_files, open_files, until

from inferencekey import (
    ConfigurationError,
    DataClient,
    Endpoint,
    InferenceKeyError,
    StreamInterrupted,
)


def client(server: Any, **options: Any) -> DataClient:
    return DataClient(base_url=server.url, project="acme", api_key=KEY, **options)


def ask(endpoint: Endpoint, prompt: str) -> str:
    return endpoint.generate_text(prompt=prompt).text


def read_stream(endpoint: Endpoint, prompt: str) -> str:
    return "".join(chunk.text for chunk in endpoint.generate_text_stream(prompt=prompt))


def expected_text(prompt: str) -> str:
    return "".join(f"{prompt}.{number} " for number in range(5))


async def hang(connection: Connection, request: Request) -> None:
    if b'"stream":true' in request.body:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
    await connection.until_gone()


@pytest.fixture(autouse=True)
def no_file_stays_open() -> Iterator[None]:
    allow_files(16_384)
    with QuickServer() as server, client(server) as data:
        ask(data.endpoint("bot"), "x")  # now the loop thread and its files exist
    before = open_files()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        # aiodns, if it is installed, closes its sockets in a thread of its own. With a hundred
        # clients on a busy machine that takes a while.
        until(lambda: open_files() <= before, 30)
    assert open_files() <= before
    assert [
        str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)
    ] == []


def test_sixty_four_threads_share_one_loop_thread() -> None:
    def thread(number: int) -> bool:
        for round in range(5):
            prompt = f"{number}-{round}"
            assert ask(endpoint, prompt) == prompt
            assert read_stream(endpoint, prompt) == expected_text(prompt)
        return True

    with QuickServer() as server, client(server) as data, ThreadPoolExecutor(64) as pool:
        endpoint = data.endpoint("bot")
        assert all(pool.map(thread, range(64)))
    assert sum(thread.name == "inferencekey" for thread in threading.enumerate()) == 1


def test_five_hundred_threads_wait_together() -> None:
    with (
        QuickServer(together=500) as server,
        client(server) as data,
        ThreadPoolExecutor(500) as pool,
    ):
        endpoint = data.endpoint("bot")
        assert list(pool.map(lambda n: ask(endpoint, str(n)), range(500))) == [
            str(n) for n in range(500)
        ]
        assert server.most == 500


def test_one_thread_has_five_hundred_open_streams() -> None:
    with QuickServer() as server, client(server) as data:
        endpoint = data.endpoint("bot")
        streams = [endpoint.generate_text_stream(prompt=str(n)) for n in range(500)]
        found = ["".join(chunk.text for chunk in stream) for stream in streams]
        assert found == [expected_text(str(n)) for n in range(500)]


def test_works_inside_two_running_loops_at_the_same_time() -> None:
    with QuickServer() as server, client(server) as data:
        endpoint = data.endpoint("bot")

        async def cell(name: str) -> str:
            return ask(endpoint, name) + read_stream(endpoint, name)

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda name: asyncio.run(cell(name)), ["a", "b"]))
    assert found == ["a" + expected_text("a"), "b" + expected_text("b")]


def test_closing_the_client_ends_the_calls_of_all_threads() -> None:
    ended: list[BaseException] = []

    def call(streamed: bool) -> None:
        try:
            read_stream(endpoint, "x") if streamed else ask(endpoint, "x")
        except BaseException as error:
            ended.append(error)

    with FaultServer(hang) as server:
        data = client(server)
        endpoint = data.endpoint("bot")
        threads = [threading.Thread(target=call, args=(number % 2 == 0,)) for number in range(10)]
        for thread in threads:
            thread.start()
        assert until(lambda: len(server.requests) == 10)
        time.sleep(0.05)
        data.close()
        for thread in threads:
            thread.join(5)
        assert len(ended) == 10
        assert all(isinstance(error, InferenceKeyError) for error in ended)
        assert sum(isinstance(error, StreamInterrupted) for error in ended) == 5
        assert all(Lab.ended(connection) for connection in server.connections)
        with pytest.raises(ConfigurationError, match="closed"):
            ask(endpoint, "x")


def test_dropped_streams_close_their_connections() -> None:
    with FaultServer(hang) as server, client(server) as data:
        endpoint = data.endpoint("bot")
        for _ in range(20):
            for _ in endpoint.generate_text_stream(prompt="x"):
                break
        gc.collect()
        assert all(Lab.ended(connection) for connection in server.connections)


def test_a_hundred_clients_one_after_another_leave_no_connection() -> None:
    with QuickServer() as server:
        for number in range(100):
            with client(server) as data:
                assert ask(data.endpoint("bot"), str(number)) == str(number)
        assert until(lambda: not server.live)
