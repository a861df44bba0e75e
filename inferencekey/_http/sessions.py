"""One aiohttp session for each event loop and process, opened when it is first used.

A session belongs to the event loop that created it, and its sockets belong to the process that
opened them. A client therefore has one for each loop that uses it, and uses none across a fork.
"""

from __future__ import annotations

import asyncio
import os
import ssl as ssl_module
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
import attrs

from inferencekey._http import plain, process
from inferencekey._http.responses import ResponseStream
from inferencekey.errors import ConfigurationError

if TYPE_CHECKING:
    from inferencekey._http.fast_path import FastPath

__all__ = ["Session", "SessionFactory", "Sessions", "closed"]

SessionFactory = Callable[[], aiohttp.ClientSession]


@attrs.define(eq=False)
class Session:
    """The session of one event loop, and the responses that are still open."""

    http: aiohttp.ClientSession
    loop: asyncio.AbstractEventLoop
    process: int
    plain: bool
    """Whether only public names of aiohttp are used with it."""
    fast_path: FastPath | None = None
    lifetime: AsyncGenerator[None, None] = attrs.field(init=False)
    open_responses: WeakSet[ResponseStream] = attrs.field(factory=WeakSet[ResponseStream])


class Sessions:
    """The sessions of one client.

    Args:
        base_url: the base URL of the client.
        headers: sent with every request.
        ssl: a context (a custom CA, a client certificate), or ``True`` for the system's.
        factory: creates the sessions instead. It is called in each event loop once.
        fast_path: whether small requests are sent without the session; they cannot use a proxy.
    """

    def __init__(
        self,
        *,
        base_url: str,
        headers: Mapping[str, str],
        ssl: ssl_module.SSLContext | bool,
        factory: SessionFactory | None,
        fast_path: bool,
    ) -> None:
        self._base_url = base_url
        self._headers = headers
        self._ssl = ssl
        self._factory = factory
        self._fast_path = fast_path
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = WeakKeyDictionary()
        self._closed = False
        # A client that was not closed is closed when it is collected, so that no socket stays open.
        weakref.finalize(self, _close_dropped, self._open).atexit = False

    async def get(self) -> Session:
        """Return the session of the running loop.

        Raises:
            ConfigurationError: the client is closed, or no asyncio event loop is running.
        """
        if self._closed:
            raise closed()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError.of(
                "inferencekey's async clients run on asyncio, and no asyncio event loop is running "
                "here. Under trio, call the sync clients in a thread."
            ) from None
        found = self._open.get(loop)
        if found is not None and found.process == process.current() and not found.http.closed:
            return found
        return await self._begin(loop)

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> Session:
        # If a loop was closed without ending its generators, nothing can close its session now.
        for lost in [session for session in list(_kept) if session.loop.is_closed()]:
            _kept.discard(lost)
        session = self._make(loop)
        # asyncio.run ends the suspended generators of its loop before it closes the loop. This one
        # closes the session, so a client that was not closed leaves no open socket.
        session.lifetime = _lifetime(session)
        self._open[loop] = session
        _kept.add(session)
        await anext(session.lifetime)
        return session

    def _make(self, loop: asyncio.AbstractEventLoop) -> Session:
        uses_plain = plain.uses_plain_aiohttp()
        if self._factory is not None:
            return Session(self._factory(), loop, process.current(), uses_plain)
        if uses_plain:
            return Session(plain.open_session(self._ssl), loop, process.current(), plain=True)
        # Imported here, because with an untested version of aiohttp the import itself could fail.
        from inferencekey._http.connections import open_session
        from inferencekey._http.fast_path import FastPath

        http = open_session(self._ssl)
        fast_path = FastPath(self._base_url, self._headers, http) if self._fast_path else None
        return Session(http, loop, process.current(), plain=False, fast_path=fast_path)

    async def aclose(self) -> None:
        """Close the sessions of all event loops of this process."""
        self._closed = True
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None  # under trio, for example, there is no session to close
        for loop, found in list(self._open.items()):
            if found.process != process.current():
                continue
            if loop is here:
                await found.lifetime.aclose()
            elif here is not None and loop.is_running():
                await asyncio.wrap_future(
                    asyncio.run_coroutine_threadsafe(_end(found.lifetime), loop)
                )
        self._open.clear()


_kept: set[Session] = set()
"""Sessions that are not closed yet: aiohttp warns when an open session is garbage-collected."""


def closed() -> ConfigurationError:
    """Return the error for a call on a closed client."""
    return ConfigurationError.of("the client is closed; create a new one.")


async def _lifetime(session: Session) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        for response in list(session.open_responses):
            response.close()
        await session.http.close()
        _kept.discard(session)


def _close_dropped(opened: WeakKeyDictionary[asyncio.AbstractEventLoop, Session]) -> None:
    """Close the sessions of a collected client, each in its event loop. Runs in any thread."""
    for loop, session in list(opened.items()):
        if session.process == process.current() and not loop.is_closed():
            with suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(_end_soon, session)


def _end_soon(session: Session) -> None:
    task = asyncio.ensure_future(_end(session.lifetime))
    _ending.add(task)
    task.add_done_callback(_ending.discard)


_ending: set[asyncio.Task[None]] = set()


async def _end(lifetime: AsyncGenerator[None, None]) -> None:
    await lifetime.aclose()


_inherited: list[Session] = []
"""The parent's sessions in a forked child. They are not closed: the sockets are the parent's."""


def _reset_in_child() -> None:
    _inherited.extend(_kept)
    _kept.clear()


if hasattr(os, "register_at_fork"):
    # The interpreter holds this function, and so the list above, until it exits. Otherwise the last
    # garbage collection of a child would finalize the parent's sessions, and aiohttp would warn.
    os.register_at_fork(after_in_child=_reset_in_child)
