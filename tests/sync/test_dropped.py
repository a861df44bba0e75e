"""A client that nobody closed leaves nothing behind: no socket, no warning."""

from __future__ import annotations

import asyncio
import gc

import pytest
from faults import Connection, FaultServer, Request, json_answer
from faults.programs import run_program

from inferencekey import AsyncDataClient, DataClient

ANSWER = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}


async def answer(connection: Connection, request: Request) -> None:
    await connection.send(json_answer(ANSWER))


def test_a_dropped_sync_client() -> None:
    with FaultServer(answer) as server:
        for _ in range(5):
            DataClient(base_url=server.url, project="acme", api_key="k").endpoint(
                "x"
            ).generate_text("x")
            gc.collect()
        for connection in server.connections:
            assert connection.gone.wait(2)


@pytest.mark.anyio
async def test_a_dropped_async_client() -> None:
    with FaultServer(answer) as server:
        for _ in range(5):
            client = AsyncDataClient(base_url=server.url, project="acme", api_key="k")
            await client.endpoint("x").generate_text("x")
            del client
            gc.collect()
            await asyncio.sleep(0)
        for connection in server.connections:
            assert await asyncio.to_thread(connection.gone.wait, 2)


SCRIPT = """
import gc, sys
from inferencekey import DataClient
def call():
    return DataClient(base_url=sys.argv[1], project="acme", api_key="k").endpoint("x").generate_text("x").text
print(call())
gc.collect()
print(call())
"""


def test_in_a_script_under_dev_mode() -> None:
    with FaultServer(answer) as server:
        assert run_program(SCRIPT, server.url) == (0, "x\nx\n", "")
