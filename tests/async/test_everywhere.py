"""One client under load, on several event loops, cancelled at every step, closed while it is used.

No test leaves a connection, a file or a task behind.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from faults import Connection, FaultServer, Request, events, sse_head
from faults import scripts as f
from faults.calls import KEY, TOKEN
from faults.lab import Lab
from faults.load import QuickServer, allow_files, open_files, until

from inferencekey import (
    AsyncDataClient,
    AsyncEndpoint,
    AsyncManagementClient,
    ConfigurationError,
    InferenceKeyError,
    StreamInterrupted,
)

try:
    import uvloop
except ImportError:
    uvloop = None


def client(server: Any, **options: Any) -> AsyncDataClient:
    return AsyncDataClient(base_url=server.url, project="acme", api_key=KEY, **options)


async def ask(endpoint: AsyncEndpoint, prompt: str) -> str:
    return (await endpoint.generate_text(prompt=prompt)).text


async def listen(endpoint: AsyncEndpoint, prompt: str) -> str:
    return "".join([chunk.text async for chunk in endpoint.generate_text_stream(prompt=prompt)])


def expected_text(prompt: str) -> str:
    return "".join(f"{prompt}.{number} " for number in range(5))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Check that no file stays open, and that no warning about an unclosed client is issued."""
    allow_files(16_384)
    if uvloop is not None:
        uvloop.new_event_loop().close()  # opens the pipe that uvloop keeps until the process ends
    before = open_files()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        yield
        # aiodns, if it is installed, closes its sockets in a thread of its own. With a hundred
        # clients on a busy machine that takes a while.
        until(lambda: open_files() <= before, 30)
    assert open_files() <= before
    assert [
        str(warning.message)
        for warning in complaints
        if issubclass(warning.category, ResourceWarning)
    ] == []


def test_two_thousand_calls_at_once() -> None:
    async def main(url: str) -> list[str]:
        async with AsyncDataClient(base_url=url, project="acme", api_key=KEY) as data:
            endpoint = data.endpoint("bot")
            texts = await asyncio.gather(*(ask(endpoint, str(n)) for n in range(2000)))
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return texts

    with QuickServer(together=2000) as server:
        assert asyncio.run(main(server.url)) == [str(n) for n in range(2000)]
        assert server.most == 2000


def test_five_hundred_streams_at_once() -> None:
    async def main(url: str) -> list[str]:
        async with AsyncDataClient(base_url=url, project="acme", api_key=KEY) as data:
            endpoint = data.endpoint("bot")
            texts = await asyncio.gather(*(listen(endpoint, str(n)) for n in range(500)))
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return texts

    with QuickServer(together=500) as server:
        assert asyncio.run(main(server.url)) == [expected_text(str(n)) for n in range(500)]
        assert server.most == 500


async def some_of_each(data: AsyncDataClient, name: str) -> None:
    endpoint = data.endpoint("bot")
    for round in range(5):
        prompts = [f"{name}-{round}-{n}" for n in range(10)]
        assert await asyncio.gather(*(ask(endpoint, prompt) for prompt in prompts)) == prompts
        assert await asyncio.gather(*(listen(endpoint, prompt) for prompt in prompts)) == [
            expected_text(p) for p in prompts
        ]


def test_two_event_loops_at_the_same_time() -> None:
    failures: list[BaseException] = []
    with QuickServer() as server:
        data = client(server)
        start = threading.Barrier(4)

        def thread(name: str) -> None:
            try:
                start.wait(10)
                asyncio.run(some_of_each(data, name))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=thread, args=(f"t{n}",)) for n in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
        asyncio.run(data.aclose())
    assert failures == []


def test_one_event_loop_after_another() -> None:
    with QuickServer() as server:
        data = client(server)
        for number in range(5):
            asyncio.run(some_of_each(data, f"r{number}"))
        asyncio.run(data.aclose())
        with pytest.raises(ConfigurationError, match="closed"):
            asyncio.run(some_of_each(data, "late"))


def test_a_client_closed_on_one_loop_while_another_loop_uses_it() -> None:
    """The streams of the other loop end with a typed error; its sockets are closed on that loop."""
    ended: list[Exception] = []
    reading = threading.Event()

    async def read(data: AsyncDataClient) -> None:
        try:
            async for _ in data.endpoint("bot").generate_text_stream(prompt="x"):
                reading.set()
        except InferenceKeyError as error:
            ended.append(error)

    with Lab(f.streams(A, then="hang")) as lab:
        data = client(lab)
        thread = threading.Thread(target=lambda: asyncio.run(read(data)))
        thread.start()
        assert reading.wait(10)
        asyncio.run(data.aclose())
        thread.join(10)
        assert [type(error) for error in ended] == [StreamInterrupted]
        assert lab.ended(lab.connections[0])


A = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'


@pytest.mark.skipif(uvloop is None, reason="uvloop is not installed")
def test_uvloop() -> None:
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with QuickServer() as server, runner:

        async def main() -> None:
            async with client(server) as data:
                await some_of_each(data, "uv")

        runner.run(main())
    with (
        Lab(f.streams(A, A, then="reset")) as lab,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):

        async def cut() -> list[str]:
            got: list[str] = []
            async with client(lab) as data:
                with pytest.raises(StreamInterrupted):
                    async for chunk in data.endpoint("bot").generate_text_stream(prompt="x"):
                        got.append(chunk.text)
            return got

        assert runner.run(cut()) == ["a", "a"]


CALLS: list[Callable[[Any, Any], Awaitable[Any]]] = [
    lambda data, management: data.endpoint("bot").generate_text(prompt="x"),
    lambda data, management: listen(data.endpoint("bot"), "x"),
    lambda data, management: data.endpoint("bot").embed("x"),
    lambda data, management: management.list_workloads(),
    lambda data, management: management.wait_until_ready("bot", timeout=5, silent=True),
]


async def without_asyncio(call: Callable[[Any, Any], Awaitable[Any]]) -> None:
    with pytest.raises(ConfigurationError, match="run on asyncio"):
        async with (
            AsyncDataClient(base_url="http://127.0.0.1:9", project="acme", api_key=KEY) as data,
            AsyncManagementClient(
                base_url="http://127.0.0.1:9", project="acme", sdk_token=TOKEN
            ) as management,
        ):
            await call(data, management)


@pytest.mark.parametrize("call", CALLS)
def test_trio(call: Callable[[Any, Any], Awaitable[Any]]) -> None:
    trio = pytest.importorskip("trio")
    trio.run(without_asyncio, call)


@pytest.mark.parametrize("call", CALLS[:4])
def test_without_any_event_loop(call: Callable[[Any, Any], Awaitable[Any]]) -> None:
    with pytest.raises(StopIteration):
        without_asyncio(call).send(None)


# Cancellation.


async def waits(connection: Connection, request: Request) -> None:
    if b'"stream":true' in request.body:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
    await connection.until_gone()


def connector(data: AsyncDataClient) -> Any:
    (session,) = data._transport._sessions._open.values()
    return session.http.connector


async def left(server: FaultServer) -> bool:
    """Return whether every connection to the server has ended."""
    return all(
        [await asyncio.to_thread(Lab.ended, connection) for connection in server.connections]
    )


WAYS_OUT = ["task", "scope", "timeout", "wait_for"]


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("make", [ask, listen])
def test_a_cancelled_call_closes_its_connection(
    make: Callable[[AsyncEndpoint, str], Awaitable[str]], way: str
) -> None:
    async def main() -> None:
        async with client(server) as data:
            call = make(data.endpoint("bot"), "x")
            if way == "task":
                task = asyncio.ensure_future(call)
                await asyncio.to_thread(until, lambda: server.requests)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif way == "scope":
                with anyio.move_on_after(0.2) as scope:
                    await call
                assert scope.cancelled_caught
            elif way == "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await call
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(call, 0.2)
            assert await left(server)
            assert not connector(data)._acquired
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultServer(waits) as server:
        asyncio.run(main())
        assert len(server.requests) == 1


class Cancelling:
    """Awaits a coroutine, and cancels its task when the coroutine suspends for the k-th time."""

    def __init__(self, coroutine: Any, at: int) -> None:
        self.coroutine = coroutine
        self.at = at
        self.waited = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.coroutine.__await__()
        step: Callable[[], Any] = lambda: steps.send(None)  # noqa: E731
        while True:
            try:
                future = step()
            except StopIteration as end:
                return end.value
            self.waited += 1
            if self.waited == self.at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield future
                step = lambda: steps.send(None)  # noqa: E731
            except BaseException as error:
                step = partial(steps.throw, error)


@pytest.mark.parametrize("make", [ask, listen])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("by", ["await points", "turns of the loop"])
def test_a_call_cancelled_at_any_await_leaves_the_client_usable(
    by: str, pooled: bool, make: Callable[[AsyncEndpoint, str], Awaitable[str]]
) -> None:
    """A cancelled call leaves no connection open, and the client works afterwards."""

    async def cancelled_at(step: int) -> bool:
        async with client(server) as data:
            endpoint = data.endpoint("bot")
            if pooled:
                assert await ask(endpoint, "before") == "before"

            async def call() -> str:
                return await (
                    Cancelling(make(endpoint, "x"), step)
                    if by == "await points"
                    else make(endpoint, "x")
                )

            task = asyncio.create_task(call())
            if by == "turns of the loop":
                for _ in range(step):
                    await asyncio.sleep(0)
                task.cancel()
            try:
                assert await task in ("x", expected_text("x"))
                return False
            except asyncio.CancelledError:
                pass
            for _ in range(5):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert not data._transport._sessions._open or not connector(data)._acquired
            assert await ask(endpoint, "after") == "after"
            return True

    async def main() -> int:
        steps = 1
        while await cancelled_at(steps) and steps < 60:
            steps += 1
        return steps

    with QuickServer() as server:
        assert asyncio.run(main()) > (1 if pooled else 2)
        assert until(lambda: not server.live)


def test_a_client_closed_while_streams_are_open() -> None:
    async def main() -> None:
        data = client(server)
        streams = [await data.endpoint("bot").generate_text_stream(prompt="x") for _ in range(20)]
        for stream in streams:
            assert (await anext(stream)).text == "a"
        readers = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await asyncio.sleep(0.01)
        await data.aclose()
        for ended in await asyncio.gather(*readers, return_exceptions=True):
            assert type(ended) is StreamInterrupted
            assert ended.partial_text == "a"
        assert await left(server)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(ConfigurationError, match="closed"):
            await data.endpoint("bot").generate_text(prompt="x")

    with FaultServer(waits) as server:
        asyncio.run(main())


def test_a_client_closed_during_calls() -> None:
    async def main() -> None:
        data = client(server)
        calls = [asyncio.ensure_future(ask(data.endpoint("bot"), "x")) for _ in range(20)]
        await asyncio.to_thread(until, lambda: len(server.requests) == 20)
        began = time.monotonic()
        await data.aclose()
        for ended in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(ended, InferenceKeyError)
        assert time.monotonic() - began < 2
        assert await left(server)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultServer(waits) as server:
        asyncio.run(main())


def test_a_client_closed_between_attempts() -> None:
    async def main() -> None:
        data = client(lab)
        call = asyncio.ensure_future(ask(data.endpoint("bot"), "x"))
        await asyncio.to_thread(until, lambda: lab.requests)
        await asyncio.sleep(0.05)
        await data.aclose()
        with pytest.raises(ConfigurationError, match="closed"):
            await call

    with Lab(f.refuses(503, retry_after_ms="300")) as lab:
        asyncio.run(main())
        assert len(lab.requests) == 1


def test_streams_dropped_by_the_garbage_collector() -> None:
    async def main() -> None:
        async with client(server) as data:
            for _ in range(20):
                async for _ in data.endpoint("bot").generate_text_stream(prompt="x"):
                    break
            gc.collect()
            assert await left(server)
            assert not connector(data)._acquired

    with FaultServer(waits) as server:
        asyncio.run(main())


def test_a_stream_stays_on_its_loop() -> None:
    async def begin() -> Any:
        stream = await data.endpoint("bot").generate_text_stream(prompt="x")
        assert (await anext(stream)).text == "a"
        return stream

    async def go_on() -> None:
        with pytest.raises(ConfigurationError, match="opened in another event loop or process"):
            await anext(stream)

    with FaultServer(waits) as server, asyncio.Runner() as runner:
        data = client(server)
        stream = runner.run(begin())
        asyncio.run(go_on())


def test_a_client_that_is_never_closed() -> None:
    async def main() -> str:
        return await ask(client(server).endpoint("bot"), "x")

    with QuickServer() as server:
        assert asyncio.run(main()) == "x"
        gc.collect()
