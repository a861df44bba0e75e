"""``startup WHAT URL``: this process's CPU and wall time to an import or a first response.

The timers start when only ``sys`` and ``time`` are imported, so the start of the interpreter is not
included. The first response stands for the first byte sent: this server responds at once, and
reading the response is included for all clients.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CPU, WALL = time.process_time(), time.perf_counter()


def ours_import(_: str) -> None:
    """``import inferencekey``."""
    import inferencekey  # noqa: F401  # pyright: ignore[reportUnusedImport]


def ours_sync(url: str) -> None:
    """A first response with ``DataClient``."""
    from inferencekey import DataClient

    client = DataClient(base_url=url, project="bench", api_key="ik_live_x")
    client.endpoint("unary").generate_text(prompt="Hola")


def ours_async(url: str) -> None:
    """A first response with ``AsyncDataClient``."""
    import asyncio

    from inferencekey import AsyncDataClient

    async def call() -> None:
        async with AsyncDataClient(base_url=url, project="bench", api_key="ik_live_x") as client:
            await client.endpoint("unary").generate_text("Hola")

    asyncio.run(call())


def floor(url: str) -> None:
    """A first response with aiohttp and orjson."""
    import asyncio

    import aiohttp
    import orjson

    async def call() -> None:
        async with aiohttp.ClientSession() as session:
            body = orjson.dumps(
                {"model": "unary", "messages": [{"role": "user", "content": "Hola"}]}
            )
            async with session.post(
                f"{url}/endpoint/bench/unary/v1/chat/completions", data=body
            ) as response:
                orjson.loads(await response.read())

    asyncio.run(call())


def openai_sync(url: str) -> None:
    """A first response with ``openai.OpenAI``."""
    openai: Any = __import__("openai")
    client = openai.OpenAI(base_url=f"{url}/endpoint/bench/unary/v1", api_key="x")
    client.chat.completions.create(model="unary", messages=[{"role": "user", "content": "Hola"}])


def main() -> None:
    """Run it and print the times."""
    whats = {
        "ours-import": ours_import,
        "ours-sync": ours_sync,
        "ours-async": ours_async,
        "floor": floor,
        "official-sync": ours_sync,
        "openai-sync": openai_sync,
    }
    whats[sys.argv[1]](sys.argv[2])
    cpu, wall = time.process_time() - CPU, time.perf_counter() - WALL
    import json

    heavy = [
        name
        for name in ("aiohttp", "attrs", "cattrs", "anyio", "orjson", "ssl", "asyncio")
        if name in sys.modules
    ]
    print(json.dumps({"cpu": cpu, "wall": wall, "loaded": heavy, "modules": len(sys.modules)}))
