"""Connections to engines, whose reads can be taken from aiohttp once the head of an answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["EngineConnection", "EngineConnector"]

_HEARD: Final = 64 * 1024
_CHUNKED: Final = "chunked"


class EngineConnection(ResponseHandler):
    """aiohttp's protocol, with a way out of it.

    Between a read and the task that waits for it aiohttp has a parser, a buffer, a future and another turn of the loop. For a
    stream that is only passed on that is more than half of what an event costs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._heard: bytes | None = b""
        self._reader: Callable[[bytes], None] | None = None
        self._lost: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Give a read to whoever has taken over; before that, to aiohttp."""
        if self._reader is not None:
            self._reader(data)
            return
        if self._heard is not None:
            self._heard = self._heard + data if len(self._heard) + len(data) <= _HEARD else None
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell aiohttp, and whoever has taken over."""
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost()

    def take(self, reader: Callable[[bytes], None], lost: Callable[[], None]) -> bool:
        """Give every read from here on to *reader*, beginning with what has come of the body; whether that can be done.

        Args:
            reader: called with the body as it comes over the wire, in its chunks. It must not raise.
            lost: called when the connection has ended.
        """
        heard, self._heard = self._heard, None
        if heard is None or self.transport is None or self._reading_paused:
            return False
        head, blank, body = heard.partition(b"\r\n\r\n")
        if not blank or b"\n\n" in head or head.startswith(b"HTTP/1.1 1"):
            return False
        self._reader, self._lost = reader, lost
        if body:
            reader(body)
        return True

    def hold(self) -> None:
        """Read nothing for now."""
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if (
            self.transport is not None
            and not self.transport.is_closing()
            and not self.transport.is_reading()
        ):
            self.transport.resume_reading()

    def let_go(self) -> None:
        """Forget who has taken over; the connection can only be closed then."""
        self._reader, self._lost = _nobody, None

    @staticmethod
    def of(answer: aiohttp.ClientResponse) -> EngineConnection | None:
        """Return the connection of an answer whose body is chunked and still to come."""
        connection = answer.connection
        protocol = None if connection is None else connection.protocol
        if (
            isinstance(protocol, EngineConnection)
            and answer.headers.get("Transfer-Encoding") == _CHUNKED
        ):
            return protocol
        return None


def _nobody(_: bytes) -> None:
    """What comes after the end is nobody's."""


class EngineConnector(aiohttp.TCPConnector):
    """Makes the connections to engines; each is used once."""

    def __init__(self) -> None:
        # llama.cpp closes idle connections when it likes, and a request that meets that would fail for nothing.
        super().__init__(limit=0, force_close=True)  # pyright: ignore[reportUnknownMemberType]
        self._factory = cast("Any", partial(EngineConnection, loop=self._loop))
