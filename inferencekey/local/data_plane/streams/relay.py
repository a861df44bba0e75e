"""Sending an engine's stream on to the caller: as it comes, in whole events.

Half an event is useless to a caller, so the part after the last whole event waits for its rest.
That is also why the gateway can add an error as an event of its own when the engine dies in the
middle of an event.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web

from inferencekey.local.data_plane.engine_client import engine_connection
from inferencekey.local.data_plane.streams.chunked import ChunkedEvents, EventBuffer
from inferencekey.local.http.errors import error_body

if TYPE_CHECKING:
    from inferencekey.local.data_plane.streams.engine_connection import EngineConnection

__all__ = ["relay"]

# In the text of an answer the quotes would be escaped.
_FINISHED: Final = re.compile(rb'"finish_reason"\s*:\s*"|data: ?\[DONE\]\s*\Z')


async def relay(
    request: web.Request,
    engine_response: aiohttp.ClientResponse,
    *,
    ends_with_done: bool = True,
    ends_with_reason: bool = False,
) -> web.StreamResponse:
    """Send the engine's stream to the caller.

    When the engine dies, the caller gets an error event, and then the connection is cut, so that
    no caller takes half a stream for a whole one.

    Args:
        request: the caller's request.
        engine_response: the engine's response; only its headers have been read.
        ends_with_done: whether a stream is complete only with ``[DONE]`` or an error. Otherwise a
            stream is also complete when the connection ends as it should.
        ends_with_reason: whether a stream of the latter kind must also have a ``finish_reason``,
            if it is not chunked.
    """
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",  # nginx buffers responses unless this header is there
        }
    )
    writer = await response.prepare(request)
    direct = _DirectRelay.between(request, response, engine_response)
    broken: bool | None = None
    events = EventBuffer()
    if direct is not None and writer is not None:
        broken = await direct.run(writer.drain)
        if broken is not None:
            events = direct.chunks.events
    if broken is None:
        broken = await _relay_through_aiohttp(
            engine_response, response, events, ends_with_reason=ends_with_reason
        )
    if events.complete:
        return response
    if broken or ends_with_done:
        await _end_with_error(request, response)
    else:
        await response.write(events.rest)
    return response


async def _end_with_error(request: web.Request, response: web.StreamResponse) -> None:
    error = error_body(
        "the engine died in the middle of its response", type_="server_error", code="engine_died"
    )
    await response.write(b"data: " + orjson.dumps(error) + b"\n\n")
    if request.transport is not None:
        # Not abort(): what was written is still sent. The end of the chunked body is not, so the
        # caller sees that the stream is incomplete.
        request.transport.close()


async def _relay_through_aiohttp(
    engine_response: aiohttp.ClientResponse,
    response: web.StreamResponse,
    events: EventBuffer,
    *,
    ends_with_reason: bool,
) -> bool:
    """Relay a stream that is not chunked on both sides; return whether the stream broke."""
    finished = not ends_with_reason
    while True:
        try:
            part = await engine_response.content.readany()
        except (aiohttp.ClientError, OSError):
            return True
        if not part:
            return not (finished or _FINISHED.search(events.rest))
        whole = events.feed(part)
        if whole:
            finished = finished or _FINISHED.search(whole) is not None
            await response.write(whole)


class _DirectRelay:
    """Writes to the caller's socket in the callback of a read: no task wakes up for an event."""

    def __init__(
        self, request: web.Request, caller: asyncio.Transport, engine: EngineConnection
    ) -> None:
        self.chunks = ChunkedEvents()
        self._protocol = request.protocol
        self._caller = caller
        self._engine = engine
        self._broken = False
        self._ended = False
        self._wake = asyncio.Event()

    @classmethod
    def between(
        cls,
        request: web.Request,
        response: web.StreamResponse,
        engine_response: aiohttp.ClientResponse,
    ) -> _DirectRelay | None:
        """Return a relay, if both sides are chunked: then chunks can be sent on as they are."""
        engine, caller = engine_connection(engine_response), request.transport
        if engine is None or caller is None or "Transfer-Encoding" not in response.headers:
            return None
        return cls(request, caller, engine)

    async def run(self, drain: Callable[[], Awaitable[None]]) -> bool | None:
        """Relay everything; return whether the stream broke.

        ``None`` is returned when the connection could not be taken over from aiohttp.

        Args:
            drain: waits until the caller's connection accepts more.
        """
        if not self._engine.take_over(self._read, self._lost):
            return None
        try:
            while True:
                await self._wake.wait()
                if self._ended:
                    return self._broken
                self._wake.clear()
                await drain()
                self._engine.resume()
        finally:
            # The response is closed after this; a read until then must not reach the caller.
            self._engine.detach()

    def _read(self, data: bytes) -> None:
        chunks = self.chunks
        chunk = chunks.feed(data)
        if chunk and not self._caller.is_closing():
            self._caller.write(chunk)
        if chunks.ended:
            self._ended = True
            self._wake.set()
        elif chunks.malformed:
            self._lost()  # nothing that follows can be trusted
        elif self._protocol.writing_paused:
            self._engine.pause()
            self._wake.set()

    def _lost(self) -> None:
        if not self._ended:
            self._ended = self._broken = True
            self._wake.set()
