"""``many CLIENT COUNT SECONDS URL``: many open streams in one process, of ours or of the floor.

Every stream has an event every 5 s. Memory is the resident set. A stall is the delay of a 5 ms
timer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

OPENING_AT_ONCE = 100


class Stalls:
    """Measures the delay of the loop's timers."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            self._worst = max(self._worst, time.perf_counter() - due)

    def worst(self) -> float:
        """Return the longest delay since the last call of this, in ms."""
        worst, self._worst = self._worst, 0.0
        return worst * 1e3

    def end(self) -> None:
        """Stop measuring."""
        self._task.cancel()


def resident() -> int:
    """Return the resident set, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def floor_stream(session: Any, url: str) -> AsyncIterator[str]:
    """The stream of the aiohttp floor."""
    import orjson

    from benchmarks.wire import KEY, chat_body, chat_path

    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = orjson.dumps(chat_body("slow", stream=True))
    rest = b""
    async with session.post(url + chat_path("slow"), data=body, headers=headers) as response:
        while data := await response.content.readany():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                yield orjson.loads(event[6:])["choices"][0]["delta"].get("content") or ""


async def measure(subject: str, count: int, seconds: float, url: str) -> dict[str, Any]:
    """Open the streams, hold them, collect garbage, and return the figures."""
    if subject == "ours":
        from benchmarks.wire import KEY, PROJECT, PROMPT
        from inferencekey import AsyncDataClient

        client = AsyncDataClient(base_url=url, project=PROJECT, api_key=KEY)
        close = client.aclose
        endpoint = client.endpoint("slow")

        def open_stream() -> Any:
            return endpoint.generate_text_stream(PROMPT)

    else:
        import aiohttp

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
        close = session.close

        def open_stream() -> Any:
            return floor_stream(session, url)

    ready = 0
    chunks = 0
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def read() -> None:
        nonlocal ready, chunks
        stream = open_stream()
        async with gate:
            await anext(stream)
            ready += 1
        async for _ in stream:
            chunks += 1

    await read_one(open_stream)
    stalls = Stalls()
    gc.collect()
    before = resident()
    stalls.worst()
    began = time.perf_counter()
    tasks = [asyncio.create_task(read()) for _ in range(count)]
    while ready < count:
        await asyncio.sleep(0.05)
        for task in tasks:
            if task.done():
                task.result()
    opening = time.perf_counter() - began
    opening_stall = stalls.worst()
    await asyncio.sleep(1)
    stalls.worst()
    memory: list[int] = []
    worst: list[float] = []
    cpu, wall, seen = time.process_time(), time.perf_counter(), chunks
    while time.perf_counter() - wall < seconds:
        memory.append(resident())
        await asyncio.sleep(2)
        worst.append(stalls.worst())
    cpu, wall, seen = time.process_time() - cpu, time.perf_counter() - wall, chunks - seen
    memory.append(resident())
    gc.collect()
    await asyncio.sleep(0.05)
    collecting = stalls.worst()
    stalls.end()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await close()
    return {
        "opening seconds": opening,
        "opening stall": opening_stall,
        "per stream": (memory[0] - before) / count,
        "per stream at the end": (memory[-1] - before) / count,
        "stalls": worst,
        "collecting stall": collecting,
        "cpu per chunk": cpu / max(1, seen),
        "chunks": seen,
    }


async def read_one(open_stream: Any) -> None:
    """Read one chunk, so that everything that is loaded lazily is loaded."""
    stream = open_stream()
    await anext(stream)
    await stream.aclose()


def main() -> None:
    """Measure and print the result."""
    subject, count, seconds, url = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(subject, int(count), float(seconds), url))))
