"""A client that was not closed leaves no socket and causes no warning."""

from __future__ import annotations

import asyncio
import gc

import pytest
from faults import Connection, FaultServer, Request, json_response
from faults.programs import run_program

from inferencekey import AsyncDataClient, DataClient

COMPLETION = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}


async def complete(connection: Connection, request: Request) -> None:
    await connection.send(json_response(COMPLETION))


def test_a_dropped_sync_client_closes_its_connections() -> None:
    with FaultServer(complete) as server:
        for _ in range(5):
            DataClient(base_url=server.url, project="acme", api_key="k").endpoint(
                "x"
            ).generate_text("x")
            gc.collect()
        for connection in server.connections:
            assert connection.gone.wait(2)


@pytest.mark.anyio
async def test_a_dropped_async_client_closes_its_connections() -> None:
    with FaultServer(complete) as server:
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
    data = DataClient(base_url=sys.argv[1], project="acme", api_key="k")
    return data.endpoint("x").generate_text("x").text
print(call())
gc.collect()
print(call())
"""


def test_a_dropped_client_prints_nothing_in_dev_mode() -> None:
    with FaultServer(complete) as server:
        code, out, err = run_program(SCRIPT, server.url)
    # asyncio's debug mode warns of slow callbacks, which a busy machine has.
    lines = [line for line in err.splitlines() if not line.startswith("Executing <")]
    assert (code, out, lines) == (0, "x\nx\n", [])
