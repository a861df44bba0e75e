"""Subclasses of aiohttp's protocol and connector. Most uses of aiohttp's private names are here.

Imported only with a version of aiohttp that the tests have run with; see ``plain``.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from inferencekey._http.attempt import needs_fresh_connection, reused_connection
from inferencekey._http.errors import BrokenFraming

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["ConnectionProtocol", "Connector", "open_session"]


class ConnectionProtocol(ResponseHandler):
    """aiohttp's protocol, which also ends the reads of a body when the connection fails.

    aiohttp sets a timer for every request and again for every read. Here a read stores the time,
    and one timer for each connection compares it with the deadlines.
    """

    deadline: float | None = None
    """The loop's time at which the current request must have ended, its body included."""

    _last_read: float | None = None
    """The loop's time of the last byte, or of the request; ``None`` if no byte is expected."""

    _deadline_timer: asyncio.TimerHandle | None = None
    _interim = False

    @property
    def is_reusable(self) -> bool:
        """Whether an idle connection can be used for the next request.

        A connection that received bytes while it was idle, even part of a header, is not reusable.
        """
        return self._last_read is None and not self.should_close

    def set_exception(self, exc: BaseException, exc_cause: Any = None) -> None:
        cause = () if exc_cause is None else (exc_cause,)
        super().set_exception(exc, *cause)
        # aiohttp passes the error to a task that waits for headers, but not to a reader of the
        # body. After a malformed chunk, for example, that reader would wait for ever.
        if isinstance(exc, HttpProcessingError):
            exc = BrokenFraming(str(exc))
        _fail_body(self._payload, exc, *cause)

    def close(self) -> None:
        # aiohttp cancels its timers here and drops the body, so that a reader of the body would
        # wait for ever (aiohttp issue 5582).
        body = self._payload
        super().close()
        _fail_body(body, aiohttp.ClientConnectionError("Connection closed"))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None

    def start_timeout(self) -> None:
        # While reading is paused, because the buffer is full, the server cannot be blamed for the
        # silence. aiohttp counts that time here and in _reschedule_timeout.
        self._last_read = None if self._reading_paused else self._loop.time()
        self._set_timer()

    def _reschedule_timeout(self) -> None:
        if not self._reading_paused:
            self._last_read = self._loop.time()
            if self._deadline_timer is None:
                self._set_timer()

    def feed_data(self, data: Any, size: int = 0) -> None:
        code = data[0].code
        self._interim = 100 <= code < 200 and code != 101
        super().feed_data(data, size)

    def _drop_timeout(self) -> None:
        # aiohttp stops the timer after every response without a body. After a 100 or 103 the final
        # response is still to come (RFC 9110, section 15.2).
        if not self._interim:
            self._last_read = None

    def _set_timer(self) -> None:
        due = self.deadline
        if self._last_read is not None and self._read_timeout:
            silent = self._last_read + self._read_timeout
            due = silent if due is None else min(due, silent)
        if due is None:
            return
        if self._deadline_timer is not None:
            # An earlier timer finds that no deadline has passed, and sets itself again.
            if self._deadline_timer.when() <= due:
                return
            self._deadline_timer.cancel()
        self._deadline_timer = self._loop.call_at(due, self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._deadline_timer = None
        now = self._loop.time()
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None
            self.set_exception(TimeoutError())
            return
        last_read, read_timeout = self._last_read, self._read_timeout
        if last_read is not None and read_timeout and last_read + read_timeout <= now:
            self._on_read_timeout()
        else:
            self._set_timer()


def _fail_body(
    body: aiohttp.StreamReader | None, exc: BaseException, *cause: BaseException
) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(exc, *cause)


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, which also reports whether a connection is new or from the pool.

    aiohttp reports that only to tracing, which costs time for every request. The difference
    matters: when a pooled connection was dead the request is sent again at once, but when a server
    drops a new connection it is a failure.

    aiohttp does not check whether a pooled connection received data while it was idle (aiohttp
    issue 13656). An unsolicited response would be read as the response to the next request, so such
    a connection is closed instead.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._factory = cast("Any", partial(ConnectionProtocol, loop=self._loop))
        self._served: WeakSet[ResponseHandler] = WeakSet()

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        return None if needs_fresh_connection.get() else await super()._get(key, traces)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("ConnectionProtocol | None", connection.protocol)
            if protocol is None:
                return connection
            pooled = protocol in self._served
            if pooled and not protocol.is_reusable:
                connection.close()
                continue
            reused_connection.set(pooled)
            if not pooled:
                self._served.add(protocol)
            return connection

    async def lease(
        self,
        request: ClientRequest,
        key: ConnectionKey,
        connect: float | None,
        deadline: float | None,
    ) -> Connection:
        """Return a connection for a request that is not sent by an aiohttp session.

        Args:
            request: has the address.
            key: its key in the pool.
            connect: seconds for a new connection.
            deadline: the loop's time at which the connection must be there.
        """
        while (connection := await self._get(key, [])) is not None:
            protocol = cast("ConnectionProtocol | None", connection.protocol)
            if protocol is not None and protocol.is_reusable:
                reused_connection.set(True)
                return connection
            connection.close()
        timeout = aiohttp.ClientTimeout(connect=connect, ceil_threshold=float("inf"))
        async with asyncio.timeout_at(deadline):
            try:
                return await self.connect(request, [], timeout)
            except TimeoutError:
                raise aiohttp.ConnectionTimeoutError(
                    f"Connection timeout to host {request.url}"
                ) from None


def open_session(ssl: ssl_module.SSLContext | bool) -> aiohttp.ClientSession:
    """Return a session with a connection pool of its own."""
    made = aiohttp.ClientSession(
        # No limit: with aiohttp's default of 100 connections the 101st stream would wait, without
        # any error, until another one ends.
        connector=Connector(limit=0, ssl=ssl),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    # aiohttp resends a GET or DELETE itself when the connection drops, also a new connection
    # (aiohttp issue 10790). RetryPolicy, its budget and retry=None would have no effect on that.
    made._retry_connection = False
    return made
