"""The body of a request, read up to the limit of its plane."""

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
        HTTPRefusal: 413 when it is longer than its plane takes.
    """
    limit = DATA_BODY_BYTES if is_data_plane(request.path) else CONTROL_BODY_BYTES
    refusal = HTTPRefusal(413, f"the body is longer than {limit} bytes")
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    body = bytearray()
    # `Content-Length` is absent from a chunked body, and counts a compressed one before it is
    # unpacked, so the bytes are counted as they come.
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise refusal
    return bytes(body)


async def read_object(request: web.Request) -> dict[str, object]:
    """Return the request's body as a JSON object.

    Raises:
        HTTPRefusal: 413 when it is too long, 400 when it is not a JSON object in UTF-8.
    """
    return parse_object(await read_body(request))


def parse_object(body: bytes) -> dict[str, object]:
    """Return a body as a JSON object.

    Raises:
        HTTPRefusal: 400 when it is not a JSON object in UTF-8.
    """
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPRefusal(400, f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise HTTPRefusal(400, "the body must be a JSON object", code="invalid_json")
    return cast("dict[str, object]", value)
