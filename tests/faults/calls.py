"""The calls of the async and the sync clients, made in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faults.server import FaultServer, Request
from inferencekey import (
    AsyncDataClient,
    AsyncManagementClient,
    DataClient,
    InferenceKeyError,
    ManagementClient,
)

__all__ = ["CALLS", "KEY", "TOKEN", "Played", "play"]

KEY = "ik_live_0a1b2c3d_" + "e" * 64
TOKEN = "ik_sdk_4d3c2b1a_" + "f" * 64

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "generate_text": lambda endpoint, management: endpoint.generate_text(prompt="x"),
    "generate_text_stream": lambda endpoint, management: endpoint.generate_text_stream(prompt="x"),
    "embed": lambda endpoint, management: endpoint.embed("x"),
    "rerank": lambda endpoint, management: endpoint.rerank("x", ["y"]),
    "list_workloads": lambda endpoint, management: management.list_workloads(),
    "delete": lambda endpoint, management: management.delete("bot"),
    "readiness_events": lambda endpoint, management: management.readiness_events("bot"),
    "wait_until_ready": lambda endpoint, management: management.wait_until_ready(
        "bot", timeout=0.5, silent=True
    ),
}
STREAMS = ("generate_text_stream", "readiness_events")


def faulty(call: str) -> Callable[[Request], bool]:
    """Return which requests of a call get the fault: ``delete`` reads the list first."""
    return (
        (lambda request: request.method == "DELETE") if call == "delete" else (lambda request: True)
    )


class Played:
    """The result of a call: its value or its error, and the items of a stream."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        self.items: list[Any] = []


async def _once_async(call: str, endpoint: Any, management: Any) -> Played:
    played = Played()
    try:
        made = CALLS[call](endpoint, management)
        if call in STREAMS:
            async for item in made:
                played.items.append(item)
        else:
            played.value = await made
    except Exception as error:
        played.error = error
    return played


def _once_sync(call: str, endpoint: Any, management: Any) -> Played:
    played = Played()
    try:
        made = CALLS[call](endpoint, management)
        if call in STREAMS:
            for item in made:
                played.items.append(item)
        else:
            played.value = made
    except Exception as error:
        played.error = error
    return played


def play(
    way: str, url: str, call: str, *, again: Callable[[], object] | None = None, **options: Any
) -> tuple[Played, Played | None]:
    """Make a call with new clients, and make it again after *again* was called.

    Args:
        way: ``async`` or ``sync``.
        url: the server's.
        call: one of ``CALLS``.
        again: heals the server; without it there is no second call.
        options: both clients' arguments.
    """
    common = {"base_url": url, "project": "acme", **options}
    if way == "sync":
        with (
            DataClient(api_key=KEY, **common) as data,
            ManagementClient(sdk_token=TOKEN, **common) as management,
        ):
            endpoint = data.endpoint("bot")
            first = _once_sync(call, endpoint, management)
            if again is None:
                return first, None
            again()
            return first, _once_sync(call, endpoint, management)

    async def both() -> tuple[Played, Played | None]:
        async with (
            AsyncDataClient(api_key=KEY, **common) as data,
            AsyncManagementClient(sdk_token=TOKEN, **common) as management,
        ):
            endpoint = data.endpoint("bot")
            first = await _once_async(call, endpoint, management)
            second = None
            if again is not None:
                await asyncio.to_thread(again)
                second = await _once_async(call, endpoint, management)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left behind: {left}"
            return first, second

    return asyncio.run(both())


@contextmanager
def refused() -> Iterator[str]:
    """The URL of a port on which nothing listens."""
    with FaultServer() as server:
        url = server.url
    yield url


def pickles(error: InferenceKeyError) -> bool:
    """Whether an error survives a pickle: same class, text and attributes."""
    import pickle

    copy = pickle.loads(pickle.dumps(error))
    return type(copy) is type(error) and str(copy) == str(error) and vars(copy) == vars(error)
