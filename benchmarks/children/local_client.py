"""A client of the local platform: takes orders on stdin, in JSON, and answers each with what it took.

Its first line says where the platform is. Then:

``{"do": "way", "name": …, "url": …, "api_key": …, "model": …, "pid": …}``: remember a way to an engine, and the process on it
that is measured. An engine that closes idle connections when it likes (``"hangs_up": true``) gets a new one for each stream.
``{"do": "port", "way": …}``: where the prepared engine behind a gateway listens.
``{"do": "ensure", "slug": …, "command": …}``: from ``ensure`` over ready to the first token, in seconds.
``{"do": "stream", "way": …, "at_once": …, "tokens": …, "user": …}``: streams by the aiohttp floor's loop: seconds to the first
token with text, events, and what the way's process took of CPU meanwhile.
``{"do": "firsts", "ways": […], "times": …, "tokens": …, "user": …}``: seconds to the first token by each way, in turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
import orjson

from inferencekey import AsyncDataClient, AsyncManagementClient, Backend, WorkloadSpec

PROMPT = "Write a long story about a lighthouse keeper and the sea."


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of another process; Linux has a clock for each."""
    return time.clock_gettime((~pid << 3) | 2)


class Client:
    """What the orders need."""

    def __init__(self, platform: dict[str, Any]) -> None:
        self._mgmt = AsyncManagementClient(
            base_url=platform["url"], project="bench", sdk_token=platform["sdk_token"]
        )
        self._data = AsyncDataClient(
            base_url=platform["url"], project="bench", api_key=platform["api_key"]
        )
        self._http = aiohttp.ClientSession()
        self._ways: dict[str, dict[str, Any]] = {}

    async def way(self, name: str, **way: Any) -> dict[str, float]:
        """Remember a way to an engine."""
        self._ways[name] = way
        return {}

    async def port(self, way: str) -> dict[str, int]:
        """Return where the prepared engine behind a gateway listens."""
        to = self._ways[way]
        headers = {"Authorization": f"Bearer {to['api_key']}"}
        async with self._http.get(f"{to['url']}/v1/port", headers=headers) as response:
            said: dict[str, int] = orjson.loads(await response.read())
            return said

    async def ensure(self, slug: str, command: str = "vllm serve bench/text") -> dict[str, float]:
        """Ensure a text workload, wait for it, stream one token."""
        spec = WorkloadSpec(
            name=slug, slug=slug, model="bench/text", backend=Backend.VLLM, command=command
        )
        began = time.perf_counter()
        await self._mgmt.ensure(spec)
        ensured = time.perf_counter()
        await self._mgmt.wait_until_ready(slug, silent=True)
        ready = time.perf_counter()
        first = 0.0
        async for chunk in self._data.endpoint(slug).generate_text_stream(
            PROMPT, max_tokens=4, temperature=0, extra_body={"user": "burst-8"}
        ):
            if chunk.text:
                first = first or time.perf_counter()
        return {"ensured": ensured - began, "ready": ready - began, "first": first - began}

    async def stream(self, way: str, at_once: int, tokens: int, user: str) -> dict[str, float]:
        """Stream so many answers at once."""
        pid = self._ways[way].get("pid")
        cpu = cpu_of(pid) if pid else 0.0
        read = await asyncio.gather(*(self._stream(way, tokens, user) for _ in range(at_once)))
        cpu = cpu_of(pid) - cpu if pid else 0.0
        return {
            "first": min(first for first, _ in read),
            "events": sum(events for _, events in read),
            "cpu": cpu,
        }

    async def firsts(
        self, ways: list[str], times: int, tokens: int, user: str
    ) -> dict[str, list[float]]:
        """Stream short answers by each way in turn."""
        found: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(times):
            for way in ways if number % 2 else reversed(ways):
                found[way].append((await self._stream(way, tokens, user))[0])
        return found

    async def _stream(self, way: str, tokens: int, user: str) -> tuple[float, int]:
        to = self._ways[way]
        body = orjson.dumps(
            {
                "model": to["model"],
                "messages": [{"role": "user", "content": PROMPT}],
                "max_tokens": tokens,
                "temperature": 0,
                "user": user,
                "stream": True,
            }
        )
        headers = {"Authorization": f"Bearer {to['api_key']}", "Content-Type": "application/json"}
        if to.get("hangs_up"):
            headers["Connection"] = "close"
        events = 0
        first = 0.0
        rest = b""
        began = time.perf_counter()
        async with self._http.post(
            f"{to['url']}/v1/chat/completions", data=body, headers=headers
        ) as response:
            response.raise_for_status()
            while data := await response.content.readany():
                *parts, rest = (rest + data).split(b"\n\n")
                for part in parts:
                    if part.startswith(b"data: {"):
                        events += 1
                        if not first and orjson.loads(part[6:])["choices"][0]["delta"].get(
                            "content"
                        ):
                            first = time.perf_counter()
        return first - began, events

    async def close(self) -> None:
        """Close everything."""
        await self._http.close()
        await self._data.aclose()
        await self._mgmt.aclose()


async def _serve() -> None:
    client = Client(json.loads(sys.stdin.readline()))
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        print(json.dumps(await getattr(client, order.pop("do"))(**order)), flush=True)
    await client.close()


def main() -> None:
    """Serve orders until stdin ends."""
    asyncio.run(_serve())
