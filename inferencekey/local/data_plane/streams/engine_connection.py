"""Connections to engines whose reads can be taken over from aiohttp after the headers.

This is the only module of the gateway that uses private names of aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["EngineConnection", "EngineConnector"]

_MAX_RECORDED: Final = 64 * 1024
_CHUNKED: Final = "chunked"


class EngineConnection(ResponseHandler):
    """aiohttp's protocol for one connection, which can give its reads to another reader.

    Between a read and the task that waits for it, aiohttp has a parser, a buffer, a future and one
    more turn of the event loop. For a stream that is only passed on, that is more than half of the
    cost of an event.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._recorded: bytes | None = b""
        """What was received so far; `None` when that is too much, or another reader has it."""
        self._reader: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Give a read to the reader that has taken over; before that, to aiohttp."""
        if self._reader is not None:
            self._reader(data)
            return
        if self._recorded is not None:
            if len(self._recorded) + len(data) <= _MAX_RECORDED:
                self._recorded += data
            else:
                self._recorded = None
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell aiohttp and the reader that the connection has ended."""
        super().connection_lost(exc)
        if self._on_lost is not None:
            self._on_lost()

    def take_over(self, reader: Callable[[bytes], None], on_lost: Callable[[], None]) -> bool:
        """Give the body, and every read from now on, to *reader*; return whether that is possible.

        Args:
            reader: receives the body as it comes over the wire, in its chunks. It must not raise.
            on_lost: called when the connection has ended.
        """
        recorded, self._recorded = self._recorded, None
        # aiohttp pauses reading when its buffer is full, and would not resume it for us.
        if recorded is None or self.transport is None or self._reading_paused:
            return False
        head, blank, body = recorded.partition(b"\r\n\r\n")
        # Headers that end in "\n\n", and an interim response (100 Continue) before the real one,
        # are rare: aiohttp reads these itself.
        if not blank or b"\n\n" in head or head.startswith(b"HTTP/1.1 1"):
            return False
        self._reader, self._on_lost = reader, on_lost
        if body:
            reader(body)
        return True

    def pause(self) -> None:
        """Stop reading from the socket for now."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read from the socket again."""
        transport = self.transport
        if transport is None or transport.is_closing() or transport.is_reading():
            return
        transport.resume_reading()

    def detach(self) -> None:
        """Forget the reader. After this the connection can only be closed."""
        self._reader, self._on_lost = _ignore, None

    @staticmethod
    def of(response: aiohttp.ClientResponse) -> EngineConnection | None:
        """Return the connection of a response whose body is chunked and still to come."""
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        if not isinstance(protocol, EngineConnection):
            return None
        if response.headers.get("Transfer-Encoding") != _CHUNKED:
            return None
        return protocol


def _ignore(_: bytes) -> None:
    """Receive what comes after the reader was forgotten."""


class EngineConnector(aiohttp.TCPConnector):
    """Makes the connections to engines; each is used for one request."""

    def __init__(self) -> None:
        # llama.cpp closes idle connections at any time, and a request on one that it is just
        # closing would fail although the engine is healthy.
        super().__init__(limit=0, force_close=True)  # pyright: ignore[reportUnknownMemberType]
        # aiohttp has no public way to choose the protocol of a connection.
        self._factory = cast("Any", partial(EngineConnection, loop=self._loop))
