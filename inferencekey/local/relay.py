"""An engine's stream, on its way to the caller: as it comes, in whole events, and true to the end.

Half an event is of no use to anybody, so the tail of a read that ends inside one waits for the rest; that is also what
lets an error be told as an event of its own when the engine dies in the middle of one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import aiohttp
import orjson
from aiohttp import web

from inferencekey._core.sse import MAX_EVENT_SIZE
from inferencekey.local.refusals import error_body

__all__ = ["WholeEvents", "relay"]

_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class WholeEvents:
    """Bytes in, the whole events among them out, byte for byte."""

    def __init__(self) -> None:
        self._rest = b""
        self.complete = False
        """Whether the last event says that the answer is over: ``[DONE]``, or an error."""

    def feed(self, part: bytes) -> bytes:
        """Return the events that *part* completes.

        An event longer than any real one is dropped: the answer will not be complete.
        """
        data = self._rest + part if self._rest else part
        cut = max(found + len(end) if (found := data.rfind(end)) >= 0 else 0 for end in _ENDS)
        self._rest = data[cut:]
        if len(self._rest) > MAX_EVENT_SIZE:
            self._rest = b""
        events = data[:cut]
        if events:
            self.complete = _ends_answer(events)
        return events


def _ends_answer(events: bytes) -> bool:
    last = events.rstrip()
    last = last[max(last.rfind(b"\n"), last.rfind(b"\r")) + 1 :]
    return last.removeprefix(b"data:").strip() == b"[DONE]" or last.startswith(b'data: {"error"')


async def relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send the engine's stream to the caller.

    When the engine dies on the way, the caller gets an error event, and then a cut connection: nobody can take half an
    answer for a whole one.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    events = WholeEvents()
    async with aclosing(_parts(answer)) as parts:
        async for part in parts:
            if whole := events.feed(part):
                await response.write(whole)
    if not events.complete:
        error = error_body("the engine died in the middle of its answer", type_="server_error", code="engine_died")
        await response.write(b"data: " + orjson.dumps(error) + b"\n\n")
        if request.transport is not None:
            # Not abort(): what is written still goes out. What does not is the end of the chunked body.
            request.transport.close()
    return response


async def _parts(answer: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Yield what the engine sends, until it ends or breaks: which of the two it was, the events say."""
    while True:
        try:
            part = await answer.content.readany()
        except (aiohttp.ClientError, OSError):
            return
        if not part:
            return
        yield part
