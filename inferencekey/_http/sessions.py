"""One aiohttp session per event loop and per process, opened on first use.

A session belongs to the loop that made it, and its sockets to the process that opened them. So a client holds as many
as it is used from, and never touches one across a fork.
"""

from __future__ import annotations

import asyncio
import os
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
    """aiohttp's protocol, which also tells the reader of a body that the connection failed.

    aiohttp forgets to when the framing breaks in the middle of a body (a chunk's size that is no number): it closes the
    connection, its timers with it, and the reader waits for ever.
    """

    def set_exception(self, exc: BaseException, exc_cause: Any = None) -> None:
        cause = () if exc_cause is None else (exc_cause,)
        super().set_exception(exc, *cause)
        body = self._payload
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

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None:
                return connection
            old = protocol in self._served
            if old and protocol.should_close:
                connection.close()
                continue
            reused.set(old)
            if not old:
                self._served.add(protocol)
            return connection


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
    life: AsyncGenerator[None, None] = attrs.field(init=False)
    bodies: WeakSet[Body] = attrs.field(factory=WeakSet[Body])


class Sessions:
    """The sessions of one client.

    Args:
        ssl: a context (a custom CA, a client certificate), or ``True`` for the system's.
        factory: makes the sessions instead; called once per loop, inside it.
    """

    def __init__(self, *, ssl: ssl_module.SSLContext | bool = True, factory: SessionFactory | None = None) -> None:
        self._ssl = ssl
        self._factory = factory
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
            raise ConfigurationError(
                "configuration error: inferencekey's async clients run on asyncio, and no asyncio event loop is running "
                "here. Under trio, call the sync clients from a thread."
            ) from None
        found = self._open.get(loop)
        if found is not None and found.process == os.getpid() and not found.http.closed:
            return found
        return await self._begin(loop)

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> Session:
        for lost in [session for session in list(_kept) if session.http._loop.is_closed()]:
            _kept.discard(lost)  # its loop was closed without ending its generators: nobody can close it any more
        session = Session(self._factory() if self._factory is not None else self._make(), os.getpid())
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
            if found.process != os.getpid():
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
    return ConfigurationError("configuration error: the client is closed; make a new one.")


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
        if session.process == os.getpid() and not loop.is_closed():
            with suppress(RuntimeError):  # the loop was closed just now
                loop.call_soon_threadsafe(_end_soon, session)


def _end_soon(session: Session) -> None:
    task = asyncio.ensure_future(_end(session.life))
    _ending.add(task)
    task.add_done_callback(_ending.discard)


_ending: set[asyncio.Task[None]] = set()


async def _end(life: AsyncGenerator[None, None]) -> None:
    await life.aclose()
