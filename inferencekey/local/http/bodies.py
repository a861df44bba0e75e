"""Reading the body of a request, up to the size limit of its plane."""

from __future__ import annotations

from typing import cast

import orjson
from aiohttp import web

from inferencekey.local.defaults import CONTROL_BODY_BYTES, DATA_BODY_BYTES
from inferencekey.local.http.errors import HTTPRefusal, is_data_plane

__all__ = ["parse_object", "read_body", "read_object"]


async def read_body(request: web.Request) -> bytes:
    """Return the request's body.

    Raises:
        HTTPRefusal: 413 if it is longer than the limit of its plane.
    """
    limit = DATA_BODY_BYTES if is_data_plane(request.path) else CONTROL_BODY_BYTES
    refusal = HTTPRefusal(413, f"the request body must not be longer than {limit} bytes")
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    body = bytearray()
    # The received bytes are counted as well: a chunked body has no `Content-Length`, and that of a
    # compressed body is its size before decompression.
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise refusal
    return bytes(body)


async def read_object(request: web.Request) -> dict[str, object]:
    """Return the request's body as a JSON object.

    Raises:
        HTTPRefusal: 413 if it is too long, 400 if it is not a JSON object in UTF-8.
    """
    return parse_object(await read_body(request))


def parse_object(body: bytes) -> dict[str, object]:
    """Parse a body as a JSON object.

    Raises:
        HTTPRefusal: 400 if it is not a JSON object in UTF-8.
    """
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPRefusal(
            400, f"the request body is not JSON: {error}", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise HTTPRefusal(400, "the request body must be a JSON object", code="invalid_json")
    return cast("dict[str, object]", value)
