"""The two ways of a request through the transport, and what can be seen of its connections."""

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
    "limits",
    "opened",
    "pooled",
    "post",
    "request",
    "seen",
    "stands_still",
    "until",
]

CREDENTIAL: Final = Credential(KEY)

BODIES: Final = {"direct": b"{}", "session": b'{"x": "' + b"x" * SMALL_BODY + b'"}'}
"""A body that goes the direct way, and one that is left to aiohttp's session."""

PATH: Final = "/api/projects/acme/workloads"


def limits(**seconds: float | None) -> Timeouts:
    """Deadlines of half a minute, but for those that are given."""
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
    """A transport without retries, closed at the end."""
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
    """A request with a credential."""
    return Request(method, path, CREDENTIAL, timeouts or limits(), body=body, **options)


async def post(
    transport: Transport,
    way: str = "direct",
    timeouts: Timeouts | None = None,
    *,
    key: str | None = None,
) -> Response:
    """Send a request one way or the other."""
    return await transport.request(request(BODIES[way], timeouts, path=PATH, idempotency_key=key))


@attrs.frozen
class Seen:
    """What a caller sees of an answer: its value, or its error."""

    status: int | None
    body: bytes | None
    error: type[InferenceKeyError] | None = None
    text: str | None = None


async def seen(made: Awaitable[Response]) -> Seen:
    """Return what came of a call."""
    try:
        answer = await made
    except InferenceKeyError as error:
        return Seen(error.status, None, type(error), str(error))
    return Seen(answer.status, answer.body)


async def connector(transport: Transport) -> Any:
    return (await transport._sessions.get()).http.connector


async def pooled(transport: Transport) -> list[ConnectionProtocol]:
    """The idle connections of the running loop."""
    return [
        protocol for kept in (await connector(transport))._conns.values() for protocol, _ in kept
    ]


async def stands_still(transport: Transport) -> bool:
    """Whether no connection is in anybody's hands, and every idle one that lives could serve at once."""
    return not (await connector(transport))._acquired and all(
        protocol.is_reusable for protocol in await pooled(transport) if protocol.is_connected()
    )


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds; fail if it does not come."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (it is another thread that makes it so)
            await asyncio.sleep(0.005)
