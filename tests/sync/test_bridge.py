"""Sync over async: threads, a running loop, Ctrl-C, fork, interpreter exit."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults import Connection, FaultServer, Request, chunk, events, json_answer, sse_head
from faults.programs import Program, run_program

from inferencekey import ConfigurationError, DataClient, Endpoint, StreamInterrupted

KEY = "ik_live_0a1b2c3d_" + "e" * 64


def answer(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": "m"}


async def echo(connection: Connection, request: Request) -> None:
    await connection.send(json_answer(answer(request.json["messages"][0]["content"])))


async def hang(connection: Connection, request: Request) -> None:
    await connection.until_gone()


async def stream_then_hang(connection: Connection, request: Request) -> None:
    await connection.send(sse_head(), *events("a", finish=None, done=False))
    await connection.until_gone()


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


def test_in_a_running_loop() -> None:
    with FaultServer(echo) as server, DataClient(base_url=server.url, project="acme") as data:
        ep = data.endpoint("bot", api_key=KEY)

        async def cell() -> str:
            return ep.generate_text(prompt="from a notebook").text

        assert asyncio.run(cell()) == "from a notebook"


def test_a_stream_crosses_once_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head() + b"".join(events(*(str(i) for i in range(500)))) + chunk(b""))

    from inferencekey import _bridge

    crossings = 0
    original = _bridge._Call.wait

    def counted(self: object, loop: object) -> object:
        nonlocal crossings
        crossings += 1
        return original(self, loop)  # type: ignore[arg-type]

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        stream = data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x")
        monkeypatch.setattr(_bridge._Call, "wait", counted)
        assert "".join(c.text for c in stream) == "".join(str(i) for i in range(500))
        monkeypatch.undo()
    # 500 events in one write arrive in a handful of reads, and one more crossing finds the end.
    assert 2 <= crossings <= 20


@pytest.mark.parametrize("way", ["block", "close", "break and drop", "close from another thread"])
def test_leaving_a_stream_closes_the_connection(way: str) -> None:
    with FaultServer(stream_then_hang) as server, DataClient(base_url=server.url, project="acme") as data:
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


def test_an_interruption_comes_after_what_arrived() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head() + b"".join(events("a", "b", finish=None, done=False)))
        connection.reset()

    with FaultServer(script) as server, DataClient(base_url=server.url, project="acme") as data:
        got = []
        with pytest.raises(StreamInterrupted) as caught:
            for c in data.endpoint("bot", api_key=KEY).generate_text_stream(prompt="x"):
                got.append(c.text)
        assert got == ["a", "b"]
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
    "what", ["ep.generate_text(prompt='x')", "print([c.text for c in ep.generate_text_stream('x')])"]
)
def test_ctrl_c_ends_the_call_at_once(what: str) -> None:
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
        assert program.ended() == (0, "", "")


FORK = """
import os, sys
from inferencekey import DataClient
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
print(ep.generate_text(prompt="before").text, flush=True)
stream = ep.generate_text_stream(prompt="stream")
first = next(stream).text
child = os.fork()
if child == 0:
    print(ep.generate_text(prompt="child").text, flush=True)
    sys.exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(ep.generate_text(prompt="parent").text, flush=True)
print(first + "".join(c.text for c in stream), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_calls_and_the_parent_goes_on() -> None:
    async def script(connection: Connection, request: Request) -> None:
        if request.json.get("stream"):
            await connection.send(sse_head(), *events(*"abcdefgh", done=True), chunk(b""), pause=0.15)
        else:
            await echo(connection, request)

    with FaultServer(script) as server:
        code, out, err = run_program(FORK, server.url)
    assert out.split() == ["before", "child", "0", "parent", "abcdefgh"]
    assert code == 0
    # Python 3.12 and newer warn of any fork beside a thread, and dev mode of a slow machine; nothing else may be said.
    assert [line for line in err.splitlines() if "fork" not in line and not line.startswith("Executing <")] == []


EXIT = """
import sys
from inferencekey import DataClient
data = DataClient(base_url=sys.argv[1], project="acme")
stream = data.endpoint("bot", api_key="k").generate_text_stream(prompt="x")
print(next(stream).text)
"""


def test_exit_with_an_open_stream_is_quick_and_silent() -> None:
    with FaultServer(stream_then_hang) as server:
        began = time.monotonic()
        code, out, err = run_program(EXIT, server.url)
        assert (code, out.strip(), err) == (0, "a", "")
        assert time.monotonic() - began < 10
        assert server.connections[0].gone.wait(1)


LATE = """
import atexit, sys
from inferencekey import ConfigurationError
@atexit.register  # before the SDK registers its own end, hence run after it
def late():
    try:
        ep.generate_text(prompt="late")
    except ConfigurationError as error:
        print(error)
from inferencekey import DataClient
ep = DataClient(base_url=sys.argv[1], project="acme").endpoint("bot", api_key="k")
ep.generate_text(prompt="x")
"""


def test_a_call_during_exit_says_so() -> None:
    with FaultServer(echo) as server:
        code, out, err = run_program(LATE, server.url)
    assert (code, err) == (0, "")
    assert "exiting" in out


def test_a_sync_call_on_the_loop_thread_is_refused() -> None:
    with FaultServer(echo) as server:
        ep = endpoint(server)

        def factory() -> object:
            return ep.generate_text(prompt="x")

        with (
            DataClient(base_url=server.url, project="acme", session_factory=factory) as data,  # type: ignore[arg-type]
            pytest.raises(ConfigurationError, match="own event loop"),
        ):
            data.endpoint("bot", api_key=KEY).generate_text(prompt="x")


def test_used_from_two_loops_one_after_another() -> None:
    from inferencekey import AsyncDataClient

    with FaultServer(echo) as server:
        data = AsyncDataClient(base_url=server.url, project="acme")
        ep = data.endpoint("bot", api_key=KEY)

        async def call(text: str) -> str:
            return (await ep.generate_text(prompt=text)).text

        assert asyncio.run(call("one")) == "one"
        assert asyncio.run(call("two")) == "two"
        gc.collect()


def test_a_closed_client_says_so() -> None:
    with FaultServer(echo) as server:
        data = DataClient(base_url=server.url, project="acme")
        ep = data.endpoint("bot", api_key=KEY)
        assert ep.generate_text(prompt="x").text == "x"
        data.close()
        with pytest.raises(ConfigurationError, match="closed"):
            ep.generate_text(prompt="x")
