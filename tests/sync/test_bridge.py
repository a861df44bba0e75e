"""The sync clients: threads, a running loop, Ctrl-C, fork, interpreter exit."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, chunk, events, json_response, sse_head
from faults.programs import Program, run_program

from inferencekey import (
    ConfigurationError,
    DataClient,
    Endpoint,
    StreamInterrupted,
    TextChunk,
)
from inferencekey._bridge import loop_thread
from inferencekey._bridge.call import _Call
from inferencekey._bridge.loop_thread import LoopThread
from inferencekey._bridge.read_ahead import MAX_AHEAD, ReadAhead

KEY = "ik_live_0a1b2c3d_" + "e" * 64


def completion(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": "m"}


async def echo(connection: Connection, request: Request) -> None:
    await connection.send(json_response(completion(request.json["messages"][0]["content"])))


async def hang(connection: Connection, request: Request) -> None:
    await connection.until_gone()


async def stream_then_hang(connection: Connection, request: Request) -> None:
    await connection.send(sse_head(), *events("a", finish=None, done=False))
    await connection.until_gone()


def without_slow_warnings(ended: tuple[int, str, str]) -> tuple[int, str, str]:
    """Return how a program ended, without asyncio's warnings of slow callbacks in dev mode."""
    code, out, err = ended
    return (
        code,
        out,
        "".join(
            line for line in err.splitlines(keepends=True) if not line.startswith("Executing <")
        ),
    )


def endpoint(server: FaultServer) -> Endpoint:
    return DataClient(base_url=server.url, project="acme").endpoint("bot", api_key=KEY)


def test_many_threads_share_one_client() -> None:
    with FaultServer(echo) as server, DataClient(base_url=server.url, project="acme") as data:
        ep = data.endpoint("bot", api_key=KEY)

        def calls(number: int) -> list[str]:
            return [ep.generate_text(prompt=f"{number}.{i}").text for i in range(5)]

        with ThreadPoolExecutor(32) as pool:
            found = list(pool.map(calls, range(32)))
    assert found == [[f"{n}.{i}" for i in range(5)] for n in range(32)]


def test_works_in_a_running_loop() -> None:
    with FaultServer(echo) as server, DataClient(base_url=server.url, project="acme") as data:
        ep = data.endpoint("bot", api_key=KEY)

        async def cell() -> str:
            return ep.generate_text(prompt="from a notebook").text

        assert asyncio.run(cell()) == "from a notebook"


def test_a_stream_crosses_threads_once_for_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(
            sse_head() + b"".join(events(*(str(i) for i in range(500)))) + chunk(b"")
        )

    crossings = 0
    original = ReadAhead.next_batch

    def counted(self: object) -> object:
        nonlocal crossings
        crossings += 1
        return original(self)  # type: ignore[arg-type]

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        monkeypatch.setattr(ReadAhead, "next_batch", counted)
        assert "".join(c.text for c in stream) == "".join(str(i) for i in range(500))
        monkeypatch.undo()
    # 500 events in one write arrive in a few reads. One more crossing finds the end.
    assert 2 <= crossings <= 20


def test_a_stream_is_read_ahead_to_a_limit() -> None:
    sent = 0

    async def script(connection: Connection, request: Request) -> None:
        nonlocal sent
        await connection.send(sse_head())
        text = "x" * 1000
        for _ in range(400):
            await connection.send(*events(*[text] * 100, finish=None, done=False))
            sent += 100
        await connection.send(*events("end"), chunk(b""))

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        next(stream)
        before = -1
        while sent != before:  # until the server cannot send any more
            before = sent
            time.sleep(0.5)
        read_ahead = stream._read_ahead
        assert read_ahead is not None
        assert 0 < read_ahead._items_read < 2 * MAX_AHEAD + 1000
        assert sent < 40_000
        assert sum(chunk.text.startswith("x") for chunk in stream) == 39_999
    assert read_ahead._items_read == read_ahead._items_taken


def test_threads_share_a_stream() -> None:
    texts = [f"{number} " for number in range(3000)]

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head())
        for at in range(0, len(texts), 100):
            await connection.send(*events(*texts[at : at + 100], finish=None, done=False))
        await connection.send(*events("end"), chunk(b""))

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        with ThreadPoolExecutor(8) as pool:
            found = [
                job.result(30)
                for job in [pool.submit(lambda: [c.text for c in stream]) for _ in range(8)]
            ]
        assert sorted(text for part in found for text in part if text) == sorted([*texts, "end"])
        assert stream.result.text == "".join([*texts, "end"])


def test_all_threads_that_wait_for_one_stream_see_its_end() -> None:
    with (
        FaultServer(stream_then_hang) as server,
        DataClient(base_url=server.url, project="acme") as data,
    ):
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        assert next(stream).text == "a"
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(list[object], stream) for _ in range(4)]
            time.sleep(0.2)
            stream.close()
            assert [job.result(10) for job in jobs] == [[]] * 4


def start_and_stop_before_wakeup(start: Callable[[LoopThread], Callable[[], None]]) -> None:
    """Start something and stop it while another thread's wake-up of the loop is pending."""
    thread = loop_thread.current()
    thread._wakeup_pending = True
    stop = start(thread)
    stop()
    thread.loop.call_soon_threadsafe(thread._run_callbacks)


def test_a_stream_that_is_dropped_before_its_reading_starts_is_closed() -> None:
    with (
        FaultServer(stream_then_hang) as server,
        DataClient(base_url=server.url, project="acme") as data,
    ):
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        read_ahead = ReadAhead(stream._stream, loop_thread.current())
        assert read_ahead.next_batch()
        late: list[ReadAhead[TextChunk]] = []

        def start(thread: LoopThread) -> Callable[[], None]:
            late.append(ReadAhead(stream._stream, thread))
            return late[0].drop

        read_ahead.drop()
        assert read_ahead.next_batch() == []
        start_and_stop_before_wakeup(start)
        assert late[0].next_batch() == []
        assert server.connections[0].gone.wait(2)


def test_a_call_that_is_cancelled_before_it_starts_does_not_start() -> None:
    started = threading.Event()

    async def never() -> None:
        started.set()

    call = _Call(never)

    def start(thread: LoopThread) -> Callable[[], None]:
        thread.schedule(call.start)
        return lambda: thread.loop.call_soon_threadsafe(call._cancel)  # type: ignore[return-value]

    start_and_stop_before_wakeup(start)
    with FaultServer(echo) as server:
        assert endpoint(server).generate_text(prompt="x").text == "x"
    assert call._done
    assert not started.is_set()


STARVED = """
import os, resource, sys, threading
from inferencekey import DataClient
from inferencekey._bridge import wakeup
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
stream = ep.generate_text_stream("x")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
held = []
def read():
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        waker = type(wakeup._local.waker).__name__
    for one in held:
        os.close(one)
    print("".join(chunk.text for chunk in stream), waker, flush=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_NOFILE")
def test_a_stream_is_read_when_no_descriptor_is_left() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events(*"abcd"), chunk(b""), pause=0.1)

    with FaultServer(script) as server:
        assert without_slow_warnings(run_program(STARVED, server.url)) == (0, "abcd _Waker\n", "")


def test_a_dropped_stream_that_waits_for_room_is_closed() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head() + b"".join(events(*["x"] * 5000, finish=None, done=False)))
        await connection.until_gone()

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        next(stream)
        time.sleep(0.2)
        del stream
        gc.collect()
        assert server.connections[0].gone.wait(2)


LOOPS = """
import sys
from inferencekey import DataClient
from inferencekey._bridge import loop_thread
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
print(ep.generate_text(prompt="x").text, type(loop_thread.current().loop).__module__)
"""


@pytest.mark.parametrize(
    ("switch", "module"),
    [("", "uvloop"), ("0", "asyncio.unix_events"), ("off", "asyncio.unix_events")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not support Windows")
def test_uvloop_runs_the_sync_clients_if_it_is_installed(
    switch: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCEKEY_UVLOOP", switch)
    with FaultServer(echo) as server:
        assert without_slow_warnings(run_program(LOOPS, server.url)) == (0, f"x {module}\n", "")


WAITING = """
import sys, threading, time
from inferencekey import DataClient, ConfigurationError
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
def read():
    try:
        for chunk in ep.generate_text_stream("x"):
            print(chunk.text, flush=True)
        print("ended", flush=True)
    except ConfigurationError as error:
        print(error, flush=True)
threading.Thread(target=read, daemon=True).start()
time.sleep(1)
"""


def test_exit_does_not_end_a_stream_normally() -> None:
    with FaultServer(stream_then_hang) as server:
        code, out, err = without_slow_warnings(run_program(WAITING, server.url))
    assert code == 0
    assert err == ""
    assert out.startswith("a\n")
    assert "ended" not in out


@pytest.mark.parametrize("way", ["block", "close", "break and drop", "close from another thread"])
def test_leaving_a_stream_closes_the_connection(way: str) -> None:
    with (
        FaultServer(stream_then_hang) as server,
        DataClient(base_url=server.url, project="acme") as data,
    ):
        ep = data.endpoint("bot", api_key=KEY)
        if way == "block":
            with ep.generate_text_stream(prompt="x") as stream:
                next(stream)
        elif way == "close":
            stream = ep.generate_text_stream(prompt="x")
            next(stream)
            stream.close()
            assert list(stream) == []
        elif way == "break and drop":
            for _ in ep.generate_text_stream(prompt="x"):
                break
            gc.collect()
        else:
            stream = ep.generate_text_stream(prompt="x")
            threading.Timer(0.2, stream.close).start()
            assert [c.text for c in stream] == ["a"]
        assert server.connections[0].gone.wait(1)


def test_an_interruption_is_raised_after_everything_that_arrived() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head() + b"".join(events("a", "b", finish=None, done=False)))
        connection.reset()

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        got = []
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        with pytest.raises(StreamInterrupted) as caught:
            for c in stream:
                got.append(c.text)
        assert got == ["a", "b"]
        assert list(stream) == []
        assert caught.value.partial_text == "ab"


CALL = """
import sys, signal
from inferencekey import DataClient
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
print("ready", flush=True)
try:
    %s
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    "what",
    ["ep.generate_text(prompt='x')", "print([c.text for c in ep.generate_text_stream('x')])"],
)
def test_ctrl_c_ends_the_call(what: str) -> None:
    with FaultServer(stream_then_hang if "stream" in what else hang) as server:
        program = Program(CALL % what, server.url)
        assert program.line() == "ready"
        deadline = time.monotonic() + 10
        while not server.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        began = time.monotonic()
        program.send_signal(signal.SIGINT)
        assert program.line() == "interrupted"
        assert time.monotonic() - began < 2
        assert server.connections[0].gone.wait(1)
        assert without_slow_warnings(program.ended()) == (0, "", "")


FORK = """
import os, sys
from inferencekey import ConfigurationError, DataClient
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
print(ep.generate_text(prompt="before").text, flush=True)
stream = ep.generate_text_stream(prompt="stream")
first = next(stream).text
child = os.fork()
if child == 0:
    try:
        print(next(stream).text)
    except ConfigurationError:
        pass
    mine = ep.generate_text_stream(prompt="stream")
    print(ep.generate_text(prompt="child").text, "".join(c.text for c in mine), flush=True)
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(ep.generate_text(prompt="parent").text, flush=True)
print(first + "".join(c.text for c in stream), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_makes_calls_and_the_parent_continues() -> None:
    async def script(connection: Connection, request: Request) -> None:
        if request.json.get("stream"):
            await connection.send(
                sse_head(), *events(*"abcdefgh", done=True), chunk(b""), pause=0.15
            )
        else:
            await echo(connection, request)

    with FaultServer(script) as server:
        code, out, err = without_slow_warnings(run_program(FORK, server.url))
    assert out.split() == ["before", "child", "abcdefgh", "0", "parent", "abcdefgh"]
    assert code == 0
    # Python 3.12 and newer warn of any fork in a process with threads. No other line is allowed.
    assert [line for line in err.splitlines() if "fork" not in line] == []


EXIT = """
import sys
from inferencekey import DataClient
data = DataClient(base_url=sys.argv[1], project="acme")
stream = data.endpoint("bot", api_key="k").generate_text_stream(prompt="x")
print(next(stream).text)
"""


def test_exit_with_an_open_stream_is_quick_and_prints_nothing() -> None:
    with FaultServer(stream_then_hang) as server:
        began = time.monotonic()
        code, out, err = without_slow_warnings(run_program(EXIT, server.url))
        assert (code, out.strip(), err) == (0, "a", "")
        assert time.monotonic() - began < 10
        assert server.connections[0].gone.wait(1)


LATE = """
import atexit, sys
from inferencekey import ConfigurationError
@atexit.register  # registered before the SDK's own handler, so it runs after it
def late():
    try:
        ep.generate_text(prompt="late")
    except ConfigurationError as error:
        print(error)
from inferencekey import DataClient
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
ep.generate_text(prompt="x")
"""


def test_a_call_during_exit_raises_an_error_that_names_the_cause() -> None:
    with FaultServer(echo) as server:
        code, out, err = without_slow_warnings(run_program(LATE, server.url))
    assert (code, err) == (0, "")
    assert "exiting" in out


def test_a_sync_call_on_the_loop_thread_is_refused() -> None:
    with FaultServer(echo) as server:
        ep = endpoint(server)

        def make() -> Any:
            return ep.generate_text(prompt="x")

        with (
            DataClient(base_url=server.url, project="acme", session_factory=make) as data,
            pytest.raises(ConfigurationError, match="own event loop"),
        ):
            data.endpoint("bot", api_key=KEY).generate_text(prompt="x")


def test_an_async_client_works_in_two_loops_one_after_another() -> None:
    from inferencekey import AsyncDataClient

    with FaultServer(echo) as server:
        data = AsyncDataClient(base_url=server.url, project="acme")
        ep = data.endpoint("bot", api_key=KEY)

        async def call(text: str) -> str:
            return (await ep.generate_text(prompt=text)).text

        assert asyncio.run(call("one")) == "one"
        assert asyncio.run(call("two")) == "two"
        gc.collect()


def test_a_closed_client_raises_an_error_that_names_the_cause() -> None:
    with FaultServer(echo) as server:
        data = DataClient(base_url=server.url, project="acme")
        ep = data.endpoint("bot", api_key=KEY)
        assert ep.generate_text(prompt="x").text == "x"
        data.close()
        with pytest.raises(ConfigurationError, match="closed"):
            ep.generate_text(prompt="x")
