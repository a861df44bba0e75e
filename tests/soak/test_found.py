"""Small tests of the defects that the soak has found."""

from __future__ import annotations

import asyncio
import gc

import pytest
from faults import Connection, FaultServer, Request, events, json_response, sse_head

from inferencekey import AsyncDataClient, AsyncTextStream

pytestmark = pytest.mark.anyio

KEY = "ik_live_" + "0" * 8 + "_" + "0" * 64


async def test_a_stream_that_is_closed_during_a_read_is_collected() -> None:
    # aiohttp raises the same exception object for every connection that is closed like this. Its
    # traceback kept all of them alive.
    async def hold(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
        await connection.until_gone()

    async def read(stream: AsyncTextStream) -> str:
        return "".join([chunk.text async for chunk in stream])

    with FaultServer(hold) as server:
        async with AsyncDataClient(base_url=server.url, project="acme", api_key=KEY) as data:
            for _ in range(3):
                stream = await data.endpoint("bot").generate_text_stream("Hi")
                reading = asyncio.create_task(read(stream))
                await asyncio.sleep(0.1)
                await stream.aclose()
                assert await reading == "a"
            del stream, reading
            await asyncio.sleep(0.1)
            gc.collect()
            assert not [found for found in gc.get_objects() if isinstance(found, AsyncTextStream)]


@pytest.mark.parametrize("resets", [False, True])
async def test_dead_pooled_connections_raise_nothing(resets: bool) -> None:
    async def once(connection: Connection, request: Request) -> None:
        if connection.served > 1:
            connection.reset() if resets else connection.close()
            return
        await asyncio.sleep(0.2)
        message = {"message": {"content": "Hello"}, "finish_reason": "stop"}
        await connection.send(json_response({"model": "m", "choices": [message]}))

    with FaultServer(once) as server:
        async with AsyncDataClient(
            base_url=server.url, project="acme", api_key=KEY, retry=None
        ) as data:
            bot = data.endpoint("bot")
            await asyncio.gather(*(bot.generate_text("Hi") for _ in range(8)))
            assert len(server.connections) == 8
            assert (await bot.generate_text("Hi")).text == "Hello"
            assert len(server.connections) == 9
