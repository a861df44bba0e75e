"""The body of an open answer, piece by piece; whatever had arrived is handed out before the failure that ended it."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import anyio

from inferencekey._core.data.sse import Event, EventTooLarge, SSEDecoder
from inferencekey._http import process
from inferencekey._http.errors import translate
from inferencekey._http.fast_path import Reply
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    RequestTimeout,
    ResponseFormatError,
)

__all__ = ["ByteStream", "EventReader", "Response"]

Response = aiohttp.ClientResponse | Reply

GRACE: Final = 0.25
"""Seconds that a finished stream's connection may take to reach the end of its body and return to the pool."""

BLINK: Final = 0.01
"""Seconds of it for which the stream's reader is kept, after the last chunk was delivered."""

_inherited: list[Response] = []
"""Answers that were open when this process was forked: they are the parent's, and cleaning them up would touch its sockets."""


class ByteStream:
    """The unread body of a 2xx answer."""

    __slots__ = (
        "__weakref__",
        "_attempts",
        "_content",
        "_failure",
        "_loop",
        "_process",
        "_response",
    )

    def __init__(self, response: Response, attempts: int) -> None:
        self._response = response
        self._attempts = attempts
        self._content = response.content
        self._failure: InferenceKeyError | None = None
        self._loop = asyncio.get_running_loop()
        self._process = process.current()

    @property
    def request_id(self) -> str | None:
        """The answer's ``x-request-id``."""
        return self._response.headers.get("x-request-id")

    def tell(self, error: InferenceKeyError) -> None:
        """Let an error that came of reading this answer carry what the answer carried."""
        if error.status is None:
            error.status = self._response.status
        if error.request_id is None:
            error.request_id = self.request_id
        error.attempts = self._attempts

    @property
    def content_type(self) -> str:
        """The answer's media type, without parameters."""
        return self._response.content_type

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; ``b""`` at the end.

        Raises:
            TransportError: the connection failed; everything that had arrived before was returned by earlier calls.
            ConfigurationError: another event loop or another process opened the answer.
        """
        if self._failure is not None:
            raise self._failure
        if self._process != process.current() or self._loop is not asyncio.get_running_loop():
            raise ConfigurationError.of(
                "a stream is read in the event loop and the process that opened it; open one here."
            )
        try:
            return await self._content.readany()
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:  # of aiohttp's parsers too, which have a tree of their own
            # One object, of the module aiohttp, is raised for every closed connection: it would keep all our frames.
            error.__traceback__ = error.__context__ = None
            # aiohttp refuses to hand out its buffer once the connection has failed: take it from behind the refusal.
            arrived = self._content._read_nowait(-1)
            self._failure, _ = translate(error)
            self._failure.request_id = self.request_id
            self.close()
            if arrived:
                return arrived
            raise self._failure from None

    def close(self) -> None:
        """Close the connection at once: the server is to stop working on the answer."""
        if self._process != process.current():
            _inherited.append(self._response)
        else:
            self._response.close()

    def close_threadsafe(self) -> None:
        """The same from any thread, also from a garbage collector's."""
        if self._process != process.current():
            _inherited.append(self._response)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    @property
    def at_end(self) -> bool:
        """Whether the end of the body has arrived: the connection is in the pool again."""
        return self._content.is_eof()

    def finish(self) -> None:
        """Nothing more is wanted: let the connection return to the pool if the body ends within a moment."""
        if not self._content.is_eof():
            timer = self._loop.call_later(GRACE, self.close)
            self._content.on_eof(timer.cancel)

    async def settle(self) -> None:
        """Wait a blink for the end of the body, which engines send in a write of its own.

        A caller that streams again at once then finds the connection in the pool.
        """
        with anyio.move_on_after(BLINK):
            try:
                await self._content.wait_eof()
            except Exception:  # noqa: S110
                pass  # whatever it is: what was wanted has come


class EventReader:
    """The events of a stream.

    Args:
        body: the open answer.
        keepalive: seconds for which comments alone count as life; ``None`` for ever.
    """

    __slots__ = ("_decoder", "_keepalive", "_last", "_loop", "body")

    def __init__(self, body: ByteStream, *, keepalive: float | None) -> None:
        self.body = body
        self._decoder = SSEDecoder()
        self._keepalive = keepalive
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def read(self) -> list[Event]:
        """Return the events that one or more reads complete, at least one; an empty list at the end.

        Raises:
            InferenceKeyError: as for ``read_plain``.
        """
        return [Event(one) if isinstance(one, bytes) else one for one in await self.read_plain()]

    async def read_plain(self) -> list[bytes] | list[bytes | Event]:
        """The same, with an event that has data and nothing else as its data alone.

        Raises:
            RequestTimeout: nothing but comments came for too long.
            ResponseFormatError: an event is too large.
            TransportError: the connection failed; the events that had arrived were returned by earlier calls.
        """
        while data := await self.body.read():
            try:
                events = self._decoder.feed_plain(data)
            except EventTooLarge as error:
                self.body.close()
                raise ResponseFormatError.of(f"{error}", request_id=self.body.request_id) from None
            if events:
                self._last = self._loop.time()
                return events
            if self._keepalive is not None and self._loop.time() - self._last > self._keepalive:
                self.body.close()
                what = (
                    "no whole event" if self._decoder.pending else "nothing but keep-alive comments"
                )
                raise RequestTimeout.of(
                    f"{what} for {self._keepalive:g} s",
                    request_id=self.body.request_id,
                )
        return []

    def unfinished(self) -> Event | None:
        """After the end: what was left of an event."""
        return self._decoder.finish()
