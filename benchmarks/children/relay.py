"""``relay ADDRESS``: the smallest possible relay in Python. It copies bytes between two sockets.

It prints its address, and ends when its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import cast
from urllib.parse import urlsplit

from benchmarks.loops import new_loop


class Side(asyncio.Protocol):
    """One connection. What it receives is written to the other one.

    While its write buffer is full, the other one does not read.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self.waiting:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        other = self.other
        assert other is not None
        if other.transport is not None:
            other.transport.write(data)
        else:
            other.waiting.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class Caller(Side):
    """A caller's connection. It opens one to the engine."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._host = host
        self._port = port
        self._connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        engine = self.other = Side()
        engine.other = self
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(
            loop.create_connection(lambda: engine, self._host, self._port)
        )


async def _serve(address: str) -> None:
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 0
    server = await asyncio.get_running_loop().create_server(
        lambda: Caller(host, port), "127.0.0.1", 0
    )
    print(
        json.dumps(
            {"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "pid": os.getpid()}
        ),
        flush=True,
    )
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def main() -> None:
    """Run it."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(sys.argv[1]))
