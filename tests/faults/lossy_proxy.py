"""A proxy between a client and a real server that loses chosen messages."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Literal
from urllib.parse import urlsplit

from faults.server import Connection, FaultServer, Request

__all__ = ["Loss", "LossyProxy"]

Loss = Literal["request", "answer", "late", "unavailable", "bad gateway after"]
"""What happens to a request that changes something.

``request``: it never arrives. ``answer``: its response is lost. ``late``: it arrives after the
connection was closed. ``unavailable``: it gets a 503. ``bad gateway after``: it arrives, and the
response is a 502."""

LATE = 0.3


class LossyProxy(FaultServer):
    """Forwards to *upstream*. The next POST, PATCH and DELETE requests get one queued loss each.

    Args:
        upstream: ``http://host:port``.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(self._pass)
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._losses: deque[Loss | None] = deque()
        self._on_the_way = 0
        self._quiet = threading.Event()
        self._quiet.set()

    def lose(self, *losses: Loss | None) -> None:
        """Set the losses of the next requests that change something; ``None`` for no loss."""
        self._losses = deque(losses)

    def settle(self) -> None:
        """Wait until the last late request has arrived."""
        assert self._quiet.wait(10)

    async def _pass(self, connection: Connection, request: Request) -> None:
        loss = self._losses.popleft() if request.method != "GET" and self._losses else None
        if loss == "unavailable":
            await connection.send(
                b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
            )
        elif loss == "request":
            connection.reset()
        elif loss == "late":
            connection.reset()
            self._begin()
            await asyncio.sleep(LATE)
            await self._forward(request)
            self._end()
        else:
            answer = await self._forward(request)
            if loss == "answer":
                connection.reset()
            elif loss == "bad gateway after":
                await connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            else:
                await connection.send(answer)
                connection.close()

    def _begin(self) -> None:
        self._on_the_way += 1
        self._quiet.clear()

    def _end(self) -> None:
        self._on_the_way -= 1
        if not self._on_the_way:
            self._quiet.set()

    async def _forward(self, request: Request) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        headers = {**request.headers, "connection": "close"}
        lines = [
            f"{request.method} {request.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body)
        answer = await reader.read()
        writer.close()
        return answer
