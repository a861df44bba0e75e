"""Small requests, sent directly over aiohttp's connections.

An aiohttp session merges headers, builds cookies, follows redirects, and creates a task, a timer
and a response object for every request. None of that is needed here: the request is one write of
bytes that are mostly prepared. Connecting, the pool, TLS, parsing and flow control remain with
aiohttp.
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
    """A response on a connection that was leased from the pool."""

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
        # These are the attributes of ResponseStream. Calling its __init__ would cost time for every
        # request.
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
        """The connection; ``None`` after the end of the body."""
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
            # The server responded before it had read the whole request. The unsent rest would be
            # sent in front of the next request.
            if protocol.transport is not None and protocol.transport.get_write_buffer_size():
                protocol.force_close()
            connection.release()

    def _close(self) -> None:
        # A reader of the body gets an error: ConnectionProtocol.close passes it on.
        connection = self._connection
        if connection is not None and not self._loop.is_closed():
            self._connection = None
            self._protocol.deadline = None
            connection.close()


class FastPath:
    """Sends small requests to one base URL, with the connections of one session.

    Args:
        base_url: scheme, host, port, and the path that comes before the path of a request.
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
        # This request is never sent. It has the address for the connector, and the headers that
        # aiohttp adds by itself.
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
        """Send a request and return its response when the headers have arrived.

        Args:
            request: one that ``is_small``.
            remaining: seconds until the body of the response must have ended.

        Raises:
            aiohttp.ClientError: the same errors as a session raises.
            TimeoutError: *remaining* seconds have passed.
        """
        connector: Connector = self._http.connector  # type: ignore[assignment] # pyright: ignore
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
            # The bytes contain the credential. They are not assigned to a variable, because a
            # traceback can show the values of local variables.
            transport.write(self._encode(request))
            protocol.start_timeout()
            while True:
                message, content = await protocol.read()
                status = message.code
                if not 100 <= status < 200 or status == 101:
                    break
            if status == 101:
                protocol.force_close()  # the connection does not use HTTP any more
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
        """Return the error that a session raises for a response that is not HTTP."""
        none: CIMultiDict[str] = CIMultiDict()
        url = URL(f"{self._address.url.origin()}{self._prefix}{request.target}", encoded=True)
        info = aiohttp.RequestInfo(url, request.method, CIMultiDictProxy(none), url)
        return aiohttp.ClientResponseError(info, (), status=error.code, message=error.message)

    def _encode(self, request: Request) -> bytes:
        # A small request has no other body. A check would cost time for every request.
        body: bytes = request.body  # type: ignore[assignment] # pyright: ignore
        key = request.idempotency_key or self._idempotency_key
        lines = self._streamed_lines if request.streamed else self._common_lines
        key_line = "" if key is None else f"Idempotency-Key: {key}\r\n"
        return (
            f"{request.method} {self._prefix}{request.target} HTTP/1.1\r\n{lines}"
            f"Authorization: {request.credential.bearer}\r\n"
            f"Content-Type: {request.content_type}\r\n{key_line}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
