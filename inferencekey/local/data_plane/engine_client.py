"""Requests to engines: sent, or known not to have been."""

from __future__ import annotations

import io
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from inferencekey.local.engines.choose import RunningEngine
from inferencekey.local.http.errors import HTTPRefusal

__all__ = ["ERROR_BYTES", "Unreached", "died", "error_body_of", "post_json", "send"]

ONE_WRITE: Final = 512 * 1024

ERROR_BYTES: Final = 64 * 1024
"""Of an engine's error, this much is read."""


class Unreached(Exception):
    """No connection to the engine could be made: nothing was sent, and another engine may be asked."""


async def send(
    session: aiohttp.ClientSession,
    engine: RunningEngine,
    method: str,
    target: str,
    data: bytes,
    headers: dict[str, str],
) -> aiohttp.ClientResponse:
    """Send a request; the answer is at its headers, and the caller closes it.

    Args:
        session: to the engines.
        engine: which.
        method: GET, POST, ….
        target: path and query, as they go over the wire.
        data: the body.
        headers: besides the engine's own key.

    Raises:
        Unreached: nothing was sent.
        HTTPRefusal: 502, the connection broke before an answer began.
    """
    if engine.api_key:
        headers["Authorization"] = f"Bearer {engine.api_key}"
    url = URL(engine.address + target, encoded=True)
    try:
        return await session.request(
            method, url, data=_in_pieces(data), headers=headers, allow_redirects=False
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreached from error
    except aiohttp.ClientError:
        raise died() from None


async def post_json(
    session: aiohttp.ClientSession, engine: RunningEngine, path: str, body: dict[str, Any]
) -> aiohttp.ClientResponse:
    """Send a JSON body, told the name of the model that answers: some engines repeat it, others refuse any other.

    Raises:
        Unreached: nothing was sent.
        HTTPRefusal: 502, the connection broke before an answer began.
    """
    data = orjson.dumps({**body, "model": engine.model_name})
    return await send(session, engine, "POST", path, data, {"Content-Type": "application/json"})


async def error_body_of(answer: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of an error's body; what arrived, where the connection breaks."""
    body = b""
    try:
        while len(body) < ERROR_BYTES and (part := await answer.content.readany()):
            body += part
    except (aiohttp.ClientError, OSError):
        pass
    return body[:ERROR_BYTES]


def died() -> HTTPRefusal:
    """Return the answer for a call whose engine is gone."""
    return HTTPRefusal(
        502, "the engine died before it had answered; it is being started again", code="engine_died"
    )


def _in_pieces(data: bytes) -> bytes | io.BytesIO | None:
    """Return what aiohttp may write in one go, as it is; more as a file, which it writes piece by piece."""
    return (data or None) if len(data) <= ONE_WRITE else io.BytesIO(data)
