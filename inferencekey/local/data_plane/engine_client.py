"""Requests to engines. Whether a request was sent is always known."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from yarl import URL

from inferencekey import config
from inferencekey.local.engines.engine import RunningEngine
from inferencekey.local.http.errors import HTTPRefusal

if TYPE_CHECKING:
    from inferencekey.local.data_plane.streams.engine_connection import EngineConnection

__all__ = [
    "ERROR_BYTES",
    "EngineUnreachable",
    "engine_connection",
    "engine_connector",
    "engine_died",
    "post_json",
    "read_error",
    "send",
]

_logger = logging.getLogger("inferencekey")

MAX_SINGLE_WRITE: Final = 512 * 1024

ERROR_BYTES: Final = 64 * 1024
"""How much of an engine's error is read, at most."""


def engine_connector() -> aiohttp.TCPConnector:
    """Return the connector for engines; each connection is used once."""
    notice = config.plain_aiohttp_notice(aiohttp.__version__)
    if notice is not None:
        _logger.warning(notice)
    if config.plain_aiohttp(aiohttp.__version__):
        return aiohttp.TCPConnector(limit=0, force_close=True)
    # Imported here, because the import itself may fail with a version that was not tested.
    from inferencekey.local.data_plane.streams.engine_connection import EngineConnector

    return EngineConnector()


def engine_connection(response: aiohttp.ClientResponse) -> EngineConnection | None:
    """Return the connection of a response whose reads can be taken over from aiohttp."""
    if config.plain_aiohttp(aiohttp.__version__):
        return None
    from inferencekey.local.data_plane.streams.engine_connection import EngineConnection

    return EngineConnection.of(response)


class EngineUnreachable(Exception):
    """The engine accepts no connection. Nothing was sent, so another engine may be used."""


async def send(
    session: aiohttp.ClientSession,
    engine: RunningEngine,
    method: str,
    target: str,
    data: bytes,
    headers: dict[str, str],
) -> aiohttp.ClientResponse:
    """Send a request and return the response when its headers have come. The caller closes it.

    Args:
        session: to the engines.
        engine: which engine.
        method: GET, POST, ….
        target: path and query, as they go over the wire.
        data: the body.
        headers: the headers; the engine's key is added.

    Raises:
        EngineUnreachable: nothing was sent.
        HTTPRefusal: 502, the connection broke before a response began.
    """
    if engine.api_key:
        headers["Authorization"] = f"Bearer {engine.api_key}"
    # Encoded already: yarl would decode and encode it again, and change it.
    url = URL(engine.address + target, encoded=True)
    try:
        return await session.request(
            method, url, data=_payload(data), headers=headers, allow_redirects=False
        )
    # Both are raised while connecting, so nothing was sent.
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise EngineUnreachable from error
    except aiohttp.ClientError:
        raise engine_died() from None


async def post_json(
    session: aiohttp.ClientSession, engine: RunningEngine, path: str, body: dict[str, Any]
) -> aiohttp.ClientResponse:
    """Send a JSON body with the engine's own model name as its ``model``.

    Some engines repeat the name that they get, others refuse every name but their own.

    Raises:
        EngineUnreachable: nothing was sent.
        HTTPRefusal: 502, the connection broke before a response began.
    """
    data = orjson.dumps({**body, "model": engine.model_name})
    return await send(session, engine, "POST", path, data, {"Content-Type": "application/json"})


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of an error's body, or what came before the connection broke."""
    body = b""
    try:
        while len(body) < ERROR_BYTES:
            part = await response.content.readany()
            if not part:
                break
            body += part
    except (aiohttp.ClientError, OSError):
        pass
    return body[:ERROR_BYTES]


def engine_died() -> HTTPRefusal:
    """Return the response to a call whose engine is gone."""
    return HTTPRefusal(
        502, "the engine died before it responded; it is being restarted", code="engine_died"
    )


def _payload(data: bytes) -> bytes | io.BytesIO | None:
    """Return the body as aiohttp sends it best: small in one write, large in pieces, as a file.

    aiohttp warns about large `bytes`, because writing them blocks the event loop.
    """
    if len(data) > MAX_SINGLE_WRITE:
        return io.BytesIO(data)
    return data or None
