"""An engine's stream, on its way to the caller: as it comes, in whole events, and true to the end.

Half an event is of no use to anybody, so the tail of a read that ends inside one waits for the rest; that is also what
lets an error be told as an event of its own when the engine dies in the middle of one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiohttp import web

from inferencekey.local.data_plane.chunked import Passing, WholeEvents
from inferencekey.local.data_plane.engine_client import engine_connection
from inferencekey.local.http.errors import error_body

if TYPE_CHECKING:
    from inferencekey.local.data_plane.engine_connection import EngineConnection

__all__ = ["relay"]

# In a JSON text the quotes would be escaped.
_FINISHED: Final = re.compile(rb'"finish_reason"\s*:\s*"|data: ?\[DONE\]\s*\Z')


async def relay(
    request: web.Request,
    answer: aiohttp.ClientResponse,
    *,
    ends_with_done: bool = True,
    ends_with_reason: bool = False,
) -> web.StreamResponse:
    """Send the engine's stream to the caller.

    When the engine dies on the way, the caller gets an error event, and then a cut connection: nobody can take half an
    answer for a whole one.

    Args:
        request: the caller's.
        answer: the engine's, at its headers.
        ends_with_done: whether only a stream that ends with ``[DONE]`` or an error is whole; else one whose connection
            ended as it should is, too.
        ends_with_reason: whether that other one must have said a ``finish_reason``; of one that is not chunked.
    """
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
        }
    )
    writer = await response.prepare(request)
    engine, caller = engine_connection(answer), request.transport
    broken: bool | None = None
    events = WholeEvents()
    if (
        engine is not None
        and caller is not None
        and writer is not None
        and "Transfer-Encoding" in response.headers
    ):
        flow = _Flow(request, caller, engine)
        broken = await flow.run(writer.drain)
        events = flow.passing.events if broken is not None else events
    if broken is None:
        broken = await _read_and_written(
            answer, response, events, ends_with_reason=ends_with_reason
        )
    if not events.complete and not (broken or ends_with_done):
        await response.write(events.rest)
    elif not events.complete:
        error = error_body(
            "the engine died in the middle of its answer", type_="server_error", code="engine_died"
        )
        await response.write(b"data: " + orjson.dumps(error) + b"\n\n")
        if request.transport is not None:
            # Not abort(): what is written still goes out. What does not is the end of the chunked body.
            request.transport.close()
    return response


async def _read_and_written(
    answer: aiohttp.ClientResponse,
    response: web.StreamResponse,
    events: WholeEvents,
    *,
    ends_with_reason: bool,
) -> bool:
    """Pass on what need not be chunked on both sides; whether the engine's connection broke."""
    finished = not ends_with_reason
    while True:
        try:
            part = await answer.content.readany()
        except (aiohttp.ClientError, OSError):
            return True
        if not part:
            return not (finished or _FINISHED.search(events.rest))
        if whole := events.feed(part):
            finished = finished or _FINISHED.search(whole) is not None
            await response.write(whole)


class _Flow:
    """From the engine's socket to the caller's in one turn of the loop: no task wakes for an event."""

    def __init__(
        self, request: web.Request, caller: asyncio.Transport, engine: EngineConnection
    ) -> None:
        self.passing = Passing()
        self._protocol = request.protocol
        self._caller = caller
        self._engine = engine
        self._broken = False
        self._ended = False
        self._wake = asyncio.Event()

    async def run(self, drain: Callable[[], Awaitable[None]]) -> bool | None:
        """Pass everything on; whether the engine's connection broke. ``None``: it could not be taken over.

        Args:
            drain: waits until the caller's connection takes more.
        """
        if not self._engine.take(self._read, self._lost):
            return None
        try:
            while True:
                await self._wake.wait()
                if self._ended:
                    return self._broken
                self._wake.clear()
                await drain()
                self._engine.go_on()
        finally:
            self._engine.let_go()

    def _read(self, data: bytes) -> None:
        passing = self.passing
        chunk = passing.feed(data)
        if chunk and not self._caller.is_closing():
            self._caller.write(chunk)
        if passing.over:
            self._ended = True
            self._wake.set()
        elif passing.bad:
            self._lost()
        elif self._protocol.writing_paused:
            self._engine.hold()
            self._wake.set()

    def _lost(self) -> None:
        if not self._ended:
            self._ended = self._broken = True
            self._wake.set()
