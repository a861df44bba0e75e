"""Responses: whole, open, or read as events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import aiohttp
import anyio
import attrs

from inferencekey._core.data.sse import Event, EventTooLarge, SSEDecoder
from inferencekey._core.http_errors import BODY_LIMIT
from inferencekey._http import process
from inferencekey._http.errors import translate
from inferencekey.config import redact
from inferencekey.errors import (
    ConfigurationError,
    InferenceKeyError,
    RequestTimeout,
    ResponseFormatError,
)

__all__ = [
    "EventReader",
    "PlainResponse",
    "Response",
    "ResponseStream",
    "SessionResponse",
    "annotate",
]

GRACE: Final = 0.25
"""Seconds that a finished stream's connection may take to reach the end of its body and return to the pool."""

BLINK: Final = 0.01
"""Seconds of it for which the stream's reader is kept, after the last chunk was delivered."""

_inherited: list[ResponseStream] = []
"""Responses that were open when this process was forked: they are the parent's, and cleaning them up would touch its sockets."""


@attrs.define
class Response:
    """A whole 2xx response."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    body: bytes
    request_id: str | None
    attempts: int
    """How many times the request was sent."""


class BodyReader(Protocol):
    """What is used of aiohttp's ``StreamReader``."""

    async def readany(self) -> bytes:
        """Return what has arrived, at least one byte; ``b""`` at the end."""
        ...

    async def wait_eof(self) -> None:
        """Wait until the end has arrived."""
        ...

    def is_eof(self) -> bool:
        """Say whether the end has arrived."""
        ...

    def at_eof(self) -> bool:
        """Say whether the end has been read."""
        ...

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call a function when the end arrives, or now if it has."""
        ...


class ResponseStream:
    """An open response: its status and headers are there, its body is unread.

    The two ways to send a request have a subclass each, for what they hold of the connection.
    """

    __slots__ = (
        "__weakref__",
        "_failure",
        "_loop",
        "_process",
        "attempts",
        "content",
        "headers",
        "status",
    )

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: BodyReader,
        loop: asyncio.AbstractEventLoop,
        process_id: int,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.attempts = 1
        self._loop = loop
        self._process = process_id
        self._failure: InferenceKeyError | None = None

    @property
    def request_id(self) -> str | None:
        """The response's ``x-request-id``."""
        return self.headers.get("x-request-id")

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; ``b""`` at the end.

        Raises:
            TransportError: the connection failed; everything that had arrived before was returned by earlier calls.
            ConfigurationError: another event loop or another process opened the response.
        """
        if self._failure is not None:
            raise self._failure
        if self._process != process.current() or self._loop is not asyncio.get_running_loop():
            raise ConfigurationError.of(
                "a stream is read in the event loop and the process that opened it; open one here."
            )
        try:
            return await self.content.readany()
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:
            # aiohttp raises one object for every closed connection (its pull request 9405): with a
            # traceback in it, that object would keep the frames of every reader alive.
            error.__traceback__ = error.__context__ = None
            arrived = self._take_arrived()
            self._failure, _ = translate(error)
            self._failure.request_id = self.request_id
            self.close()
            if arrived:
                return arrived
            raise self._failure from None

    def _take_arrived(self) -> bytes:
        # Once the connection has failed, aiohttp's public methods refuse to return what had arrived
        # (aiohttp issue 3026). It is still in the buffer.
        reader: aiohttp.StreamReader = self.content  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
        return reader._read_nowait(-1)

    def limit_silence(self, seconds: float | None) -> None:
        """Limit the silence between bytes from here on; until now the limit was for the first byte."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection at once: the server is to stop working on the response."""
        if self._process != process.current():
            _inherited.append(self)
        else:
            self._close()

    def _close(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """The body has ended, or is not wanted: the connection goes back to the pool if it is fit for it."""
        raise NotImplementedError

    def close_threadsafe(self) -> None:
        """The same as ``close``, from any thread, also from a garbage collector's."""
        if self._process != process.current():
            _inherited.append(self)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    @property
    def at_end(self) -> bool:
        """Whether the end of the body has arrived: the connection is in the pool again."""
        return self.content.is_eof()

    def finish(self) -> None:
        """Nothing more is wanted: let the connection return to the pool if the body ends within a moment."""
        if not self.content.is_eof():
            timer = self._loop.call_later(GRACE, self.close)
            self.content.on_eof(timer.cancel)

    async def settle(self) -> None:
        """Wait a blink for the end of the body, which engines send in a write of its own.

        A caller that streams again at once then finds the connection in the pool.
        """
        with anyio.move_on_after(BLINK):
            try:
                await self.content.wait_eof()
            except Exception:  # noqa: S110
                pass  # whatever it is: what was wanted has come


class SessionResponse(ResponseStream):
    """A response that an aiohttp session has made.

    Args:
        response: aiohttp's.
        loop: the running event loop.
    """

    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            response.status, response.headers, response.content, loop, process.current()
        )
        self._response = response

    def limit_silence(self, seconds: float | None) -> None:
        """See ``ResponseStream``."""
        connection = self._response.connection
        protocol = None if connection is None else connection.protocol
        # The connection is gone already where the body came with the head.
        if protocol is not None:
            protocol.read_timeout = seconds
            protocol.start_timeout()

    def _close(self) -> None:
        self._response.close()

    def release(self) -> None:
        """See ``ResponseStream``."""
        self._response.release()


class PlainResponse(SessionResponse):
    """The same, read with aiohttp's public methods only.

    What had arrived when a connection failed is lost. The limit on silence is checked while a read
    waits, and not between reads.
    """

    __slots__ = ("_reader",)

    def __init__(self, response: aiohttp.ClientResponse, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(response, loop)
        self.content = self._reader = _LimitedReader(response.content)

    def _take_arrived(self) -> bytes:
        return b""

    def limit_silence(self, seconds: float | None) -> None:
        """See ``ResponseStream``."""
        self._reader.limit = seconds


class _LimitedReader:
    """aiohttp's reader of a body, with a limit for each read.

    aiohttp's protocol does not end a read when the framing breaks or when the session is closed;
    without a limit of our own such a read would wait for ever.
    """

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader
        self.limit: float | None = None
        self.wait_eof = reader.wait_eof
        self.is_eof = reader.is_eof
        self.at_eof = reader.at_eof
        self.on_eof = reader.on_eof

    async def readany(self) -> bytes:
        scope = asyncio.timeout(self.limit)
        try:
            async with scope:
                return await self._reader.readany()
        except TimeoutError:
            if not scope.expired():
                raise  # aiohttp's own, for the whole call
            raise aiohttp.SocketTimeoutError("Timeout on reading data from socket") from None


def annotate(error: InferenceKeyError, response: Response | ResponseStream) -> None:
    """Add to an error what is known of the response that it came from."""
    if error.status is None:
        error.status = response.status
    if error.request_id is None:
        error.request_id = response.request_id
    if error.body is None and isinstance(response, Response):
        error.body = redact(response.body[:BODY_LIMIT].decode("utf-8", "replace"))
    error.attempts = response.attempts


class EventReader:
    """The events of a stream.

    Args:
        response: the open response.
        keepalive: seconds for which comments alone count as life; ``None`` for ever.
    """

    __slots__ = ("_decoder", "_keepalive", "_last", "_loop", "response")

    def __init__(self, response: ResponseStream, *, keepalive: float | None) -> None:
        self.response = response
        self._decoder = SSEDecoder(loose=True)
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
        response = self.response
        while data := await response.read():
            try:
                events = self._decoder.feed_plain(data)
            except EventTooLarge as error:
                response.close()
                raise ResponseFormatError.of(f"{error}", request_id=response.request_id) from None
            if events:
                self._last = self._loop.time()
                return events
            if self._keepalive is not None and self._loop.time() - self._last > self._keepalive:
                response.close()
                what = "nothing but keep-alive comments"
                if self._decoder.pending:
                    what = "no whole event"
                raise RequestTimeout.of(
                    f"{what} for {self._keepalive:g} s",
                    request_id=response.request_id,
                )
        return []

    def unfinished(self) -> list[Event]:
        """After the end: what was left of an event."""
        return self._decoder.rest()
