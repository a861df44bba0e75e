"""``counting WHAT TARGET STYLE URL``: count the operations of one client, and print them in JSON.

``calls``        Python and C calls (``sys.setprofile``) in all threads, for a unary call and for a
                 chunk of a stream.
``kept``         memory blocks and bytes (``tracemalloc``) of each chunk of a stream, if all chunks
                 are kept.
``crossings``    how often a thread calls ``call_soon_threadsafe``, and how often one waits for a
                 lock or a queue: for a unary call, for a chunk with 64 a write, and for an event of
                 a stream with one event a read.

The machine's load changes how many reads a stream needs and how many iterations of the loop a
response needs. So the smallest count of several tries is used. The calls for a chunk are those of a
long stream minus those of a short one.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import threading
import tracemalloc
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import Any

from benchmarks.wire import CHUNKS, PACED_CHUNKS, SHORT_CHUNKS

TRIES = 5
CALLS = 20
WAITING = {"acquire", "get", "wait"}
LOCKS = (type(threading.Lock()), type(threading.RLock()), SimpleQueue)


class Counter:
    """Counts the calls of all threads while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.calls = 0
        self.into_loop = 0
        self.waits = 0

    def begin(self) -> None:
        """Start counting from zero."""
        self.calls = self.into_loop = self.waits = 0
        self.on = True

    def end(self) -> tuple[int, int, int]:
        """Stop counting. Return calls, handovers to a loop, and waits."""
        self.on = False
        return self.calls, self.into_loop, self.waits

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self.on:
            return
        if event == "call":
            self.calls += 1
            self.into_loop += frame.f_code.co_name == "call_soon_threadsafe"
        elif event == "c_call":
            self.calls += 1
            name = argument.__name__
            if name == "call_soon_threadsafe":
                self.into_loop += 1
            elif name in WAITING and isinstance(argument.__self__, LOCKS):
                self.waits += 1


def main() -> None:
    """Count and print the counts."""
    what, target, style, url = sys.argv[1:]
    counter = Counter()
    # Threads that are started after this line are counted too, so also the loop thread.
    threading.setprofile(counter)
    sys.setprofile(counter)
    module, _, name = target.partition(":")
    make: Callable[[str], Any] = getattr(importlib.import_module(module), name)
    count = {"calls": _calls, "kept": _kept, "crossings": _crossings}[what]
    with asyncio.Runner() as runner:
        caller = _InLoop(runner, make, url) if style == "async" else _InThread(make, url)
        result = count(caller, counter)
        caller.close()
    sys.setprofile(None)
    print(json.dumps(result))


class _InLoop:
    """An async client, called from outside its loop."""

    def __init__(self, runner: asyncio.Runner, make: Callable[[str], Any], url: str) -> None:
        self._runner = runner
        self._client = runner.run(self._make_client(make, url))

    async def _make_client(self, make: Callable[[str], Any], url: str) -> Any:
        return make(url)

    def count(
        self, counter: Counter, times: int, method: str, *arguments: str
    ) -> tuple[int, int, int]:
        """Return the counts of *times* calls of a method."""

        async def several() -> tuple[int, int, int]:
            call = getattr(self._client, method)
            counter.begin()
            for _ in range(times):
                await call(*arguments)
            return counter.end()

        return self._runner.run(several())

    def chunks(self, slug: str) -> list[Any]:
        """Return a stream's chunks."""
        chunks: list[Any] = self._runner.run(self._client.chunks(slug))
        return chunks

    def close(self) -> None:
        """Close the client."""
        self._runner.run(self._client.close())


class _InThread:
    """A sync client."""

    def __init__(self, make: Callable[[str], Any], url: str) -> None:
        self._client = make(url)

    def count(
        self, counter: Counter, times: int, method: str, *arguments: str
    ) -> tuple[int, int, int]:
        """Return the counts of *times* calls of a method."""
        call = getattr(self._client, method)
        counter.begin()
        for _ in range(times):
            call(*arguments)
        return counter.end()

    def chunks(self, slug: str) -> list[Any]:
        """Return a stream's chunks."""
        chunks: list[Any] = self._client.chunks(slug)
        return chunks

    def close(self) -> None:
        """Close the client."""
        self._client.close()


_Caller = _InLoop | _InThread


def _calls(caller: _Caller, counter: Counter) -> dict[str, float]:
    caller.count(counter, CALLS, "unary")
    request = min(caller.count(counter, CALLS, "unary")[0] for _ in range(TRIES)) / CALLS
    long = min(caller.count(counter, 1, "stream", "stream-64")[0] for _ in range(TRIES))
    short = min(caller.count(counter, 1, "stream", "short")[0] for _ in range(TRIES))
    return {
        "calls per request": request,
        "calls per chunk": (long - short) / (CHUNKS - SHORT_CHUNKS),
    }


def _kept(caller: _Caller, _: Counter) -> dict[str, float]:
    sys.setprofile(None)
    caller.chunks("stream-64")
    blocks: list[int] = []
    sizes: list[int] = []
    for _try in range(TRIES):
        gc.collect()
        tracemalloc.start()
        chunks = caller.chunks("stream-64")
        gc.collect()
        more = _total()
        del chunks
        gc.collect()
        less = _total()
        tracemalloc.stop()
        blocks.append(more[0] - less[0])
        sizes.append(more[1] - less[1])
    return {
        "blocks per kept chunk": min(blocks) / CHUNKS,
        "bytes per kept chunk": min(sizes) / CHUNKS,
    }


def _crossings(caller: _Caller, counter: Counter) -> dict[str, float]:
    caller.count(counter, CALLS, "unary")
    unary = [caller.count(counter, CALLS, "unary") for _ in range(TRIES)]
    burst = [caller.count(counter, 1, "stream", "stream-64") for _ in range(TRIES)]
    # The maximum, because load can only reduce these counts: one read then has two events.
    paced = [caller.count(counter, 1, "stream", "paced") for _ in range(TRIES)]
    return {
        "handovers per request": min(one[1] for one in unary) / CALLS,
        "waits per request": min(one[2] for one in unary) / CALLS,
        "handovers per chunk": min(one[1] for one in burst) / CHUNKS,
        "waits per chunk": min(one[2] for one in burst) / CHUNKS,
        "handovers per paced event": max(one[1] for one in paced) / PACED_CHUNKS,
        "waits per paced event": max(one[2] for one in paced) / PACED_CHUNKS,
    }


def _total() -> tuple[int, int]:
    statistics = tracemalloc.take_snapshot().statistics("filename")
    return sum(one.count for one in statistics), sum(one.size for one in statistics)
