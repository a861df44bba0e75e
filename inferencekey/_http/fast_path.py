"""A request with a small body, and the head of its response, straight over aiohttp's connections.

An aiohttp session does for every request what is the same for all of ours, or what none of ours needs: it merges headers,
builds cookies, follows redirects, makes a task that writes the body, a timer, and a response that can do much more. Here the
request is one write of prepared bytes. Connecting, the pool, TLS, parsing and flow control are aiohttp's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from inferencekey._http import process
from inferencekey._http.connections import Connector
from inferencekey._http.request import Request
from inferencekey._http.responses import BodyReader, ResponseStream

if TYPE_CHECKING:
    from aiohttp.connector import Connection

__all__ = ["FastPath", "FastResponse"]


class FastResponse(ResponseStream):
    """A response on a connection that no aiohttp session has in hand."""

    __slots__ = ("_connection", "_protocol")

    def __init__(
        self,
        connection: Connection,
        protocol: Any,
        status: int,
        headers: Mapping[str, str],
        content: BodyReader,
        loop: asyncio.AbstractEventLoop,
        process_id: int,
    ) -> None:
        # All of ResponseStream's attributes, without another call: this is made for every request.
        self.status = status
        self.headers = headers
        self.content = content
        self.attempts = 1
        self._loop = loop
        self._process = process_id
        self._failure = None
        self._connection: Connection | None = connection
        self._protocol: Any = protocol
        content.on_eof(self.release)

    @property
    def connection(self) -> Connection | None:
        """The connection, until the body has ended."""
        return self._connection

    def limit_silence(self, seconds: float | None) -> None:
        """See ``ResponseStream``."""
        if self._connection is not None:
            self._protocol._read_timeout = seconds
            self._protocol.start_timeout()

    def release(self) -> None:
        """See ``ResponseStream``."""
        connection, self._connection = self._connection, None
        if connection is not None:
            protocol = self._protocol
            protocol.deadline = None
            # The server answered before it had read all of the request: what is left of that would go before the next.
            if protocol.transport is not None and protocol.transport.get_write_buffer_size():
                protocol.force_close()
            connection.release()

    def _close(self) -> None:
        # Whoever reads the body gets an error: the protocol sees to it.
        connection = self._connection
        if connection is not None and not self._loop.is_closed():
            self._connection = None
            self._protocol.deadline = None
            connection.close()


class FastPath:
    """The way to one base URL for one session.

    Args:
        base_url: scheme, host and port, and the path that requests are below.
        headers: sent with every request.
        http: the session; its connector is a ``Connector``.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str], http: aiohttp.ClientSession
    ) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()
        self._process = process.current()
        self._prefix = urlsplit(base_url).path
        # It names where to connect to, and what aiohttp would send of itself. It is never sent.
        self._address = aiohttp.ClientRequest(
            "GET", URL(base_url, encoded=True), headers=headers, loop=self._loop, session=http
        )
        self._key = self._address.connection_key
        varying = {"content-type", "idempotency-key"}
        lines = [
            f"{name}: {value}\r\n"
            for name, value in self._address.headers.items()
            if name.lower() not in varying
        ]
        self._common_lines = "".join(lines)
        self._streamed_lines = self._common_lines
        if not any(name.lower() == "accept-encoding" for name in headers):
            kept = [line for line in lines if not line.lower().startswith("accept-encoding:")]
            self._streamed_lines = "".join([*kept, "Accept-Encoding: identity\r\n"])
        self._idempotency_key = self._address.headers.get("Idempotency-Key")

    async def send(self, request: Request, remaining: float | None) -> FastResponse:
        """Send a request and return its response once the head is there.

        Args:
            request: its body is bytes, and it has no headers of its own.
            remaining: seconds for the whole of it, the body of the response included.

        Raises:
            aiohttp.ClientError: as aiohttp raises it.
            TimeoutError: *remaining* seconds have passed.
        """
        connector: Connector = self._http.connector  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
        timeouts = request.timeouts
        deadline = None if remaining is None else self._loop.time() + remaining
        connection = await connector.lease(self._address, self._key, timeouts.connect, deadline)
        protocol: Any = connection.protocol
        try:
            protocol.set_response_params(read_until_eof=True, read_timeout=timeouts.first_byte)
            protocol.deadline = deadline
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
            # The bytes hold the credential: they are no variable, so that no traceback can show them.
            transport.write(self._encode(request))
            protocol.start_timeout()
            while True:
                message, content = await protocol.read()
                status = message.code
                if not 100 <= status < 200 or status == 101:
                    break
            if status == 101:
                protocol.force_close()  # whatever is spoken there now, it is not what was asked for
            return FastResponse(
                connection, protocol, status, message.headers, content, self._loop, self._process
            )
        except HttpProcessingError as error:
            protocol.deadline = None
            connection.close()
            raise self._not_http(request, error) from None
        except BaseException:
            protocol.deadline = None
            connection.close()
            raise

    def _not_http(
        self, request: Request, error: HttpProcessingError
    ) -> aiohttp.ClientResponseError:
        """Return the error that a session would raise."""
        none: CIMultiDict[str] = CIMultiDict()
        url = URL(f"{self._address.url.origin()}{self._prefix}{request.target}", encoded=True)
        info = aiohttp.RequestInfo(url, request.method, CIMultiDictProxy(none), url)
        return aiohttp.ClientResponseError(info, (), status=error.code, message=error.message)

    def _encode(self, request: Request) -> bytes:
        # ``send`` takes no other; a check would be paid by every request.
        body: bytes = request.body  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
        key = request.idempotency_key or self._idempotency_key
        lines = self._streamed_lines if request.streamed else self._common_lines
        key_line = "" if key is None else f"Idempotency-Key: {key}\r\n"
        return (
            f"{request.method} {self._prefix}{request.target} HTTP/1.1\r\n{lines}"
            f"Authorization: {request.credential.bearer}\r\n"
            f"Content-Type: {request.content_type}\r\n{key_line}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
