"""A client of the local platform. It reads orders on stdin and prints a result for each, in JSON.

The first line of its input describes the platform. Every later line is an order; ``do`` names it:

``route``         name, url, api_key, model, pid: store a route to an engine, and which process to
                  measure on it. With ``closes_idle`` every stream gets a new connection, because
                  the engine closes idle ones at any time.
``port``          route: on which port the prepared engine behind a gateway listens.
``ensure``        slug, command: seconds from ``ensure`` to ready and to the first token.
``stream``        route, concurrency, tokens, user: streams read with the loop of the aiohttp floor.
                  The result has seconds to the first token with text, the number of events, and
                  the CPU time of the route's process.
``first_tokens``  routes, times, tokens, user: seconds to the first token on each route, in turn.
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
    """Return the CPU seconds of another process, from the clock that Linux has for each process."""
    return time.clock_gettime((~pid << 3) | 2)


class Client:
    """The orders, one method for each."""

    def __init__(self, platform: dict[str, Any]) -> None:
        self._mgmt = AsyncManagementClient(
            base_url=platform["url"], project="bench", sdk_token=platform["sdk_token"]
        )
        self._data = AsyncDataClient(
            base_url=platform["url"], project="bench", api_key=platform["api_key"]
        )
        self._http = aiohttp.ClientSession()
        self._routes: dict[str, dict[str, Any]] = {}

    async def route(self, name: str, **route: Any) -> dict[str, float]:
        """Store a route to an engine."""
        self._routes[name] = route
        return {}

    async def port(self, route: str) -> dict[str, int]:
        """Return the port of the prepared engine behind a gateway."""
        to = self._routes[route]
        headers = {"Authorization": f"Bearer {to['api_key']}"}
        async with self._http.get(f"{to['url']}/v1/port", headers=headers) as response:
            result: dict[str, int] = orjson.loads(await response.read())
            return result

    async def ensure(self, slug: str, command: str = "vllm serve bench/text") -> dict[str, float]:
        """Ensure a text workload, wait until it is ready, and stream one token."""
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

    async def stream(
        self, route: str, concurrency: int, tokens: int, user: str
    ) -> dict[str, float]:
        """Read *concurrency* streams at the same time."""
        pid = self._routes[route].get("pid")
        cpu = cpu_of(pid) if pid else 0.0
        read = await asyncio.gather(
            *(self._stream(route, tokens, user) for _ in range(concurrency))
        )
        cpu = cpu_of(pid) - cpu if pid else 0.0
        return {
            "first": min(first for first, _ in read),
            "events": sum(events for _, events in read),
            "cpu": cpu,
        }

    async def first_tokens(
        self, routes: list[str], times: int, tokens: int, user: str
    ) -> dict[str, list[float]]:
        """Read short streams on each route in turn."""
        found: dict[str, list[float]] = {route: [] for route in routes}
        for number in range(times):
            for route in routes if number % 2 else reversed(routes):
                found[route].append((await self._stream(route, tokens, user))[0])
        return found

    async def _stream(self, route: str, tokens: int, user: str) -> tuple[float, int]:
        to = self._routes[route]
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
        if to.get("closes_idle"):
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
