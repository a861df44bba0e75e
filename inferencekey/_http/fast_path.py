"""A request with a small JSON body, and the head of its answer, straight over aiohttp's connections.

An aiohttp session does for every request what is the same for all of ours, or what none of ours needs: it merges headers,
builds cookies, follows redirects, makes a task that writes the body, a timer, and a response that can do much more. Here the
request is one write of prepared bytes. Connecting, the pool, TLS, parsing and flow control are aiohttp's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from inferencekey._http.credential import Credential

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from inferencekey._http.sessions import Connector

__all__ = ["SMALL", "Direct", "Reply"]

SMALL: Final = 64 * 1024
"""Bytes of a body that is sent at once. A longer one is aiohttp's to write: it waits for room, and can be overtaken."""


class Reply:
    """An answer whose body is unread: what is used of aiohttp's response."""

    __slots__ = ("__weakref__", "_connection", "_protocol", "content", "headers", "status")

    def __init__(
        self,
        connection: Connection,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader,
    ) -> None:
        self._connection: Connection | None = connection
        self._protocol: Any = connection.protocol
        self.status = status
        self.headers = headers
        self.content = content
        content.on_eof(self.release)

    @property
    def connection(self) -> Connection | None:
        """The connection, until the body has ended."""
        return self._connection

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def release(self) -> None:
        """The body has ended, or is not wanted: the connection goes back to the pool if it is fit for it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            protocol = self._protocol
            protocol.deadline = None
            # The server answered before it had read all of the request: what is left of that would go before the next.
            if protocol.transport is not None and protocol.transport.get_write_buffer_size():
                protocol.force_close()
            connection.release()

    def close(self) -> None:
        """Close the connection. Whoever reads the body is told."""
        connection = self._connection
        if connection is not None and not self._protocol._loop.is_closed():
            self._connection = None
            self._protocol.deadline = None
            connection.close()


class Direct:
    """The way to one origin for one session.

    Args:
        origin: scheme, host and port; what is else in it is not looked at.
        headers: sent with every request.
        http: the session; its connector is a ``Connector``.
    """

    def __init__(
        self, origin: URL, headers: Mapping[str, str], http: aiohttp.ClientSession
    ) -> None:
        self._http = http
        self._loop = asyncio.get_running_loop()
        # It names where to connect to, and what aiohttp would send of itself. It is never sent.
        self._to = aiohttp.ClientRequest(
            "GET", origin, headers=headers, loop=self._loop, session=http
        )
        self._key = self._to.connection_key
        own = {"content-type", "idempotency-key"}
        lines = [
            f"{name}: {value}\r\n"
            for name, value in self._to.headers.items()
            if name.lower() not in own
        ]
        self._same = "".join(lines)
        self._idempotency_key = self._to.headers.get("Idempotency-Key")

    async def send(
        self,
        method: str,
        target: str,
        credential: Credential,
        body: bytes,
        key: str | None,
        *,
        connect: float | None,
        first_byte: float | None,
        remaining: float | None,
    ) -> Reply:
        """Send a request and return its answer once the head is there.

        Raises:
            aiohttp.ClientError: as aiohttp raises it.
            TimeoutError: *remaining* seconds have passed; they hold for the body too.
        """
        connector: Connector = self._http.connector  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
        deadline = None if remaining is None else self._loop.time() + remaining
        connection = await connector.lease(self._to, self._key, connect, deadline)
        protocol: Any = connection.protocol
        try:
            protocol.set_response_params(read_until_eof=True, read_timeout=first_byte)
            protocol.deadline = deadline
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
            # The bytes hold the credential: they are no variable, so that no traceback can show them.
            transport.write(self._bytes(method, target, credential, body, key))
            protocol.start_timeout()
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    break
            if message.code == 101:
                protocol.force_close()  # whatever is spoken there now, it is not what was asked for
            return Reply(connection, message.code, message.headers, content)
        except HttpProcessingError as error:
            protocol.deadline = None
            connection.close()
            unsaid: CIMultiDict[str] = CIMultiDict()
            url = URL(f"{self._to.url.origin()}{target}", encoded=True)
            info = aiohttp.RequestInfo(url, method, CIMultiDictProxy(unsaid), url)
            raise aiohttp.ClientResponseError(
                info, (), status=error.code, message=error.message
            ) from None
        except BaseException:
            protocol.deadline = None
            connection.close()
            raise

    def _bytes(
        self, method: str, target: str, credential: Credential, body: bytes, key: str | None
    ) -> bytes:
        key = key or self._idempotency_key
        once = "" if key is None else f"Idempotency-Key: {key}\r\n"
        return (
            f"{method} {target} HTTP/1.1\r\n{self._same}Authorization: {credential.bearer}\r\n"
            f"Content-Type: application/json\r\n{once}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
