"""One aiohttp session per event loop and per process, opened on first use.

A session belongs to the loop that made it, and its sockets to the process that opened them. So a client holds as many
as it is used from, and never touches one across a fork.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import attrs
from aiohttp.client_proto import ResponseHandler

from inferencekey._http import process
from inferencekey._http.fast_path import Direct
from inferencekey.errors import ConfigurationError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["Session", "SessionFactory", "Sessions", "closed", "fresh", "reused"]

SessionFactory = Callable[[], aiohttp.ClientSession]

reused: ContextVar[bool] = ContextVar("reused", default=False)
"""Whether the connection that the current task's request got had served one before."""

fresh: ContextVar[bool] = ContextVar("fresh", default=False)
"""Whether the current task's request must have a new connection: after one from the pool was dead, others may be."""


class Handler(ResponseHandler):
    """aiohttp's protocol, which also tells the reader of a body that the connection failed, and keeps time for nothing.

    aiohttp forgets to tell when the framing breaks in the middle of a body (a chunk's size that is no number), and when the
    session is closed: it closes the connection, its timers with it, and the reader waits for ever.

    aiohttp sets a timer for every request and again for every read. Here a read notes the time, and one timer for each
    connection looks at it when it could have been too long.
    """

    deadline: float | None = None
    """The loop's time at which the current request must be over, its body included."""

    _heard: float | None = None
    """The loop's time of the last byte, or of the request; ``None`` when none is awaited."""

    _watch: asyncio.TimerHandle | None = None
    _interim = False

    @property
    def fit(self) -> bool:
        """Whether an idle connection may serve: one that said anything meanwhile, were it half a head, may not."""
        return self._heard is None and not self.should_close

    def set_exception(self, exc: BaseException, exc_cause: Any = None) -> None:
        cause = () if exc_cause is None else (exc_cause,)
        super().set_exception(exc, *cause)
        _tell(self._payload, exc, *cause)

    def close(self) -> None:
        body = self._payload
        super().close()
        _tell(body, aiohttp.ClientConnectionError("Connection closed"))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def start_timeout(self) -> None:
        # While nothing is read, because the reader has enough, the silence is ours. aiohttp forgets that here and below.
        self._heard = None if self._reading_paused else self._loop.time()
        self._arm()

    def _reschedule_timeout(self) -> None:
        if not self._reading_paused:
            self._heard = self._loop.time()
            if self._watch is None:
                self._arm()

    def feed_data(self, data: Any, size: int = 0) -> None:
        code = data[0].code
        self._interim = 100 <= code < 200 and code != 101
        super().feed_data(data, size)

    def _drop_timeout(self) -> None:
        # aiohttp stops the clock at any head that has no body; after a 100 or 103 the answer is still to come.
        if not self._interim:
            self._heard = None

    def _arm(self) -> None:
        due = self.deadline
        if self._heard is not None and self._read_timeout:
            silent = self._heard + self._read_timeout
            due = silent if due is None else min(due, silent)
        if due is None:
            return
        if self._watch is not None:
            if self._watch.when() <= due:
                return  # it will look, and be set again
            self._watch.cancel()
        self._watch = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._watch = None
        now = self._loop.time()
        if self.deadline is not None and self.deadline <= now:
            self.deadline = None
            self.set_exception(TimeoutError())
        elif (
            self._heard is not None
            and self._read_timeout
            and self._heard + self._read_timeout <= now
        ):
            self._on_read_timeout()
        else:
            self._arm()


def _tell(body: aiohttp.StreamReader | None, exc: BaseException, *cause: BaseException) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(exc, *cause)


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, which also says whether a connection is fresh or from the pool.

    aiohttp tells the two apart only to tracers, which cost every request; a dead pooled connection needs another
    answer (send again at once) than a server that drops what it is sent.

    Nor does aiohttp look at what a pooled connection said while it was idle: an answer that nobody asked for would be
    taken for that of the next request, and every answer after it for the one before. Such a connection is not used.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._factory = cast("Any", partial(Handler, loop=self._loop))
        self._served: WeakSet[ResponseHandler] = WeakSet()

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        return None if fresh.get() else await super()._get(key, traces)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("Handler | None", connection.protocol)
            if protocol is None:
                return connection
            old = protocol in self._served
            if old and not protocol.fit:
                connection.close()
                continue
            reused.set(old)
            if not old:
                self._served.add(protocol)
            return connection

    async def lease(
        self, to: ClientRequest, key: ConnectionKey, connect: float | None, deadline: float | None
    ) -> Connection:
        """Return a connection for a request that is not aiohttp's to send.

        Args:
            to: where to.
            key: its key in the pool.
            connect: seconds for a new connection.
            deadline: the loop's time at which it must be there.
        """
        while (connection := await self._get(key, [])) is not None:
            protocol = cast("Handler | None", connection.protocol)
            if protocol is not None and protocol.fit:
                reused.set(True)
                return connection
            connection.close()
        timeout = aiohttp.ClientTimeout(connect=connect, ceil_threshold=float("inf"))
        async with asyncio.timeout_at(deadline):
            try:
                return await self.connect(to, [], timeout)
            except TimeoutError:
                raise aiohttp.ConnectionTimeoutError(
                    f"Connection timeout to host {to.url}"
                ) from None


class Body(Protocol):
    """An answer's body that is still open."""

    def close(self) -> None:
        """Close its connection at once."""
        ...


@attrs.define(eq=False)
class Session:
    """One loop's session, and the bodies that are still open on it."""

    http: aiohttp.ClientSession
    process: int
    direct: Direct | None = None
    life: AsyncGenerator[None, None] = attrs.field(init=False)
    bodies: WeakSet[Body] = attrs.field(factory=WeakSet[Body])


class Sessions:
    """The sessions of one client.

    Args:
        ssl: a context (a custom CA, a client certificate), or ``True`` for the system's.
        factory: makes the sessions instead; called once per loop, inside it.
        direct: makes the direct way of a session that is ours.
    """

    def __init__(
        self,
        *,
        ssl: ssl_module.SSLContext | bool = True,
        factory: SessionFactory | None = None,
        direct: Callable[[aiohttp.ClientSession], Direct] | None = None,
    ) -> None:
        self._ssl = ssl
        self._factory = factory
        self._direct = direct
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = WeakKeyDictionary()
        self._closed = False
        # A client that is dropped instead of closed leaves no socket and no warning behind either.
        weakref.finalize(self, _drop, self._open).atexit = False

    async def get(self) -> Session:
        """Return the session of the running loop.

        Raises:
            ConfigurationError: the client is closed, or no asyncio loop runs (trio, say).
        """
        if self._closed:
            raise closed()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError.of(
                "inferencekey's async clients run on asyncio, and no asyncio event loop is running "
                "here. Under trio, call the sync clients from a thread."
            ) from None
        found = self._open.get(loop)
        if found is not None and found.process == process.current() and not found.http.closed:
            return found
        return await self._begin(loop)

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> Session:
        for lost in [session for session in list(_kept) if session.http._loop.is_closed()]:
            _kept.discard(
                lost
            )  # its loop was closed without ending its generators: nobody can close it any more
        if self._factory is not None:
            session = Session(self._factory(), process.current())
        else:
            http = self._make()
            session = Session(
                http, process.current(), None if self._direct is None else self._direct(http)
            )
        # The loop knows its suspended generators and closes them before it closes itself (asyncio.run does), so a
        # client nobody closed leaves no socket and no warning behind.
        session.life = _life(session)
        self._open[loop] = session
        _kept.add(session)
        await anext(session.life)
        return session

    def _make(self) -> aiohttp.ClientSession:
        # No limit of connections: aiohttp's default of 100 would silently queue the 101st stream.
        made = aiohttp.ClientSession(
            connector=Connector(limit=0, ssl=self._ssl),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # By itself aiohttp sends a GET or DELETE twice when its connection drops, fresh ones too: behind the policy's
        # back, its budget's and retry=None's.
        made._retry_connection = False
        return made

    async def aclose(self) -> None:
        """Close every session of this process, from whichever loop they are."""
        self._closed = True
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None  # not asyncio (trio, say): there is no session to close here
        for loop, found in list(self._open.items()):
            if found.process != process.current():
                continue
            if loop is here:
                await found.life.aclose()
            elif here is not None and loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end(found.life), loop))
        self._open.clear()


_kept: set[Session] = set()
"""Keeps a session out of the garbage collector's hands until it is closed: there, aiohttp would complain about it."""


def closed() -> ConfigurationError:
    """Return the error for a call on a closed client."""
    return ConfigurationError.of("the client is closed; make a new one.")


async def _life(session: Session) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        for body in list(session.bodies):
            body.close()
        await session.http.close()
        _kept.discard(session)


def _drop(opened: WeakKeyDictionary[asyncio.AbstractEventLoop, Session]) -> None:
    """Close the sessions of a client that is gone, each on its loop; called by the garbage collector, in any thread."""
    for loop, session in list(opened.items()):
        if session.process == process.current() and not loop.is_closed():
            with suppress(RuntimeError):  # the loop was closed just now
                loop.call_soon_threadsafe(_end_soon, session)


def _end_soon(session: Session) -> None:
    task = asyncio.ensure_future(_end(session.life))
    _ending.add(task)
    task.add_done_callback(_ending.discard)


_ending: set[asyncio.Task[None]] = set()


async def _end(life: AsyncGenerator[None, None]) -> None:
    await life.aclose()
