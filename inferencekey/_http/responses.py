"""Responses: a whole one, an open one, and the events of an open one."""

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
from inferencekey.credentials import redact
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
"""Seconds that the body of a finished stream may take to end; then its connection is closed."""

BLINK: Final = 0.01
"""Seconds of ``GRACE`` for which the reader of the stream waits, after the last chunk."""

_inherited: list[ResponseStream] = []
"""Responses that the parent process had open when it forked this one.

They are kept, because finalizing them would close sockets of the parent."""


@attrs.define
class Response:
    """A whole 2xx response."""

    status: int
    headers: Mapping[str, str]
    """Names are looked up without regard to case."""
    body: bytes
    request_id: str | None
    attempts: int
    """How many times the request was sent."""


class BodyReader(Protocol):
    """The methods of aiohttp's ``StreamReader`` that are used."""

    async def readany(self) -> bytes:
        """Return what has arrived, at least one byte; ``b""`` at the end."""
        ...

    async def wait_eof(self) -> None:
        """Wait until the end has arrived."""
        ...

    def is_eof(self) -> bool:
        """Return whether the end has arrived."""
        ...

    def at_eof(self) -> bool:
        """Return whether everything has been read."""
        ...

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call a function when the end arrives, or at once if it has arrived."""
        ...


class ResponseStream:
    """An open response: the status and the headers have arrived, the body is not read yet.

    The two ways to send a request have a subclass each, because each holds the connection in its
    own way.
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
            TransportError: the connection failed. Earlier calls returned all that had arrived.
            ConfigurationError: another event loop or another process opened the response.
        """
        if self._failure is not None:
            raise self._failure
        if self._process != process.current() or self._loop is not asyncio.get_running_loop():
            raise ConfigurationError.of(
                "this stream was opened in another event loop or process; open a new stream here."
            )
        try:
            return await self.content.readany()
        except asyncio.CancelledError:
            self.close()
            raise
        except Exception as error:
            # aiohttp raises the same exception object for every closed connection (aiohttp pull
            # request 9405). Its traceback would keep the frames of all readers alive.
            error.__traceback__ = error.__context__ = None
            arrived = self._take_arrived()
            self._failure, _ = translate(error)
            self._failure.request_id = self.request_id
            self.close()
            if arrived:
                return arrived
            raise self._failure from None

    def _take_arrived(self) -> bytes:
        # After a failure aiohttp's public methods do not return what had arrived before (aiohttp
        # issue 3026). It is still in the buffer.
        reader: aiohttp.StreamReader = self.content  # type: ignore[assignment] # pyright: ignore
        return reader._read_nowait(-1)

    def limit_silence(self, seconds: float | None) -> None:
        """Limit the silence between bytes from now on. The earlier limit was for the first byte."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection at once, so that the server stops generating."""
        if self._process != process.current():
            _inherited.append(self)
        else:
            self._close()

    def _close(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        """Return the connection to the pool, or close it if it is not reusable."""
        raise NotImplementedError

    def close_threadsafe(self) -> None:
        """Do the same as ``close`` from any thread, also from a finalizer."""
        if self._process != process.current():
            _inherited.append(self)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    @property
    def at_end(self) -> bool:
        """Whether the end of the body has arrived, and the connection is in the pool again."""
        return self.content.is_eof()

    def finish(self) -> None:
        """Read no more. The connection returns to the pool if the body ends within ``GRACE``."""
        if not self.content.is_eof():
            timer = self._loop.call_later(GRACE, self.close)
            self.content.on_eof(timer.cancel)

    async def settle(self) -> None:
        """Wait for the end of the body, for ``BLINK`` at most.

        Engines send the end in a write of its own. A caller that opens another stream at once then
        gets this connection from the pool.
        """
        with anyio.move_on_after(BLINK):
            try:
                await self.content.wait_eof()
            except Exception:  # noqa: S110
                pass  # the events have arrived, so a failure after them does not matter


class SessionResponse(ResponseStream):
    """A response of an aiohttp session.

    Args:
        response: the session's response.
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
        # If the body arrived together with the headers, the connection is in the pool already.
        if protocol is not None:
            protocol.read_timeout = seconds
            protocol.start_timeout()

    def _close(self) -> None:
        self._response.close()

    def release(self) -> None:
        """See ``ResponseStream``."""
        self._response.release()


class PlainResponse(SessionResponse):
    """The same, with aiohttp's public methods only.

    Bytes that had arrived but were not read are lost when the connection fails. The limit on
    silence holds while a read waits.
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

    When the chunked coding is malformed, or when the session is closed, aiohttp's own protocol does
    not end a read. Without a limit here, such a read would wait for ever.
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
                raise  # from aiohttp: the total of the call has passed
            raise aiohttp.SocketTimeoutError("Timeout on reading data from socket") from None


def annotate(error: InferenceKeyError, response: Response | ResponseStream) -> None:
    """Add the fields of a response to an error that was raised while it was read."""
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
        keepalive: the longest time without an event, in seconds, while comments arrive; ``None``
            for no limit.
    """

    __slots__ = ("_decoder", "_keepalive", "_last", "_loop", "response")

    def __init__(self, response: ResponseStream, *, keepalive: float | None) -> None:
        self.response = response
        self._decoder = SSEDecoder(loose=True)
        self._keepalive = keepalive
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def read(self) -> list[Event]:
        """Return the next events, at least one; an empty list at the end.

        Raises:
            InferenceKeyError: as for ``read_plain``.
        """
        return [Event(one) if isinstance(one, bytes) else one for one in await self.read_plain()]

    async def read_plain(self) -> list[bytes] | list[bytes | Event]:
        """Return the same, but an event that has only data is returned as that data.

        Raises:
            RequestTimeout: only comments arrived for too long.
            ResponseFormatError: an event is too large.
            TransportError: the connection failed. Earlier calls returned all complete events.
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
                received = "only keep-alive comments"
                if self._decoder.pending:
                    received = "no complete event"
                raise RequestTimeout.of(
                    f"the stream received {received} for {self._keepalive:g} s",
                    request_id=response.request_id,
                )
        return []

    def unfinished(self) -> list[Event]:
        """Return what is left after the end of the stream: an incomplete event, or stray lines."""
        return self._decoder.rest()
