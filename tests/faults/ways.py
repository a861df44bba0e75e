"""Requests on the fast path and through a session, and the state of their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from faults.calls import KEY
from inferencekey import InferenceKeyError, Timeouts
from inferencekey._http.connections import ConnectionProtocol
from inferencekey._http.credential import Credential
from inferencekey._http.request import SMALL_BODY, Request
from inferencekey._http.responses import Response
from inferencekey._http.transport import Transport

__all__ = [
    "BODIES",
    "CREDENTIAL",
    "Seen",
    "connector",
    "is_idle",
    "limits",
    "opened",
    "pooled",
    "post",
    "request",
    "seen",
    "until",
]

CREDENTIAL: Final = Credential(KEY)

BODIES: Final = {"fast": b"{}", "session": b'{"x": "' + b"x" * SMALL_BODY + b'"}'}
"""A body for the fast path, and one that is too large for it."""

PATH: Final = "/api/projects/acme/workloads"


def limits(**seconds: float | None) -> Timeouts:
    """Return deadlines of 30 s, except for those that are given."""
    generous: dict[str, Any] = {
        "connect": 30,
        "first_byte": 30,
        "read": 30,
        "total": 30,
        "keepalive": 30,
    }
    return Timeouts(**{**generous, **seconds})


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Transport]:
    """A transport without retries; it is closed at the end."""
    given: dict[str, Any] = {
        "timeout": None,
        "retry": None,
        "headers": None,
        "proxy": None,
        "ssl": True,
        "session_factory": None,
    }
    transport = Transport(base_url=url, **{**given, **options})
    try:
        yield transport
    finally:
        await transport.aclose()


def request(
    body: Any = b"{}",
    timeouts: Timeouts | None = None,
    *,
    method: str = "POST",
    path: str = "/x",
    **options: Any,
) -> Request:
    """Return a request with a credential."""
    return Request(method, path, CREDENTIAL, timeouts or limits(), body=body, **options)


async def post(
    transport: Transport,
    way: str = "fast",
    timeouts: Timeouts | None = None,
    *,
    key: str | None = None,
) -> Response:
    """Send a request with the body for one of the ``BODIES``."""
    return await transport.request(request(BODIES[way], timeouts, path=PATH, idempotency_key=key))


@attrs.frozen
class Seen:
    """What a caller gets: the response or the error."""

    status: int | None
    body: bytes | None
    error: type[InferenceKeyError] | None = None
    text: str | None = None


async def seen(made: Awaitable[Response]) -> Seen:
    """Return the response or the error of a call."""
    try:
        answer = await made
    except InferenceKeyError as error:
        return Seen(error.status, None, type(error), str(error))
    return Seen(answer.status, answer.body)


async def connector(transport: Transport) -> Any:
    return (await transport._sessions.get()).http.connector


async def pooled(transport: Transport) -> list[ConnectionProtocol]:
    """Return the idle connections of the running loop."""
    return [
        protocol for kept in (await connector(transport))._conns.values() for protocol, _ in kept
    ]


async def is_idle(transport: Transport) -> bool:
    """Return whether no connection is in use, and all open ones are reusable."""
    return not (await connector(transport))._acquired and all(
        protocol.is_reusable for protocol in await pooled(transport) if protocol.is_connected()
    )


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something is true; fail after some seconds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (another thread changes it)
            await asyncio.sleep(0.005)
