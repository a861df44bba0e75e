"""What a stand-in refuses, as the response to the caller. Its errors are llama.cpp's."""

from __future__ import annotations

import re
from typing import Any, Final

import aiohttp
import orjson

from inferencekey.local.data_plane.engine_client import read_error
from inferencekey.local.http.errors import RETRY_AFTER, HTTPRefusal

__all__ = ["refusal_of", "refusal_of_response"]

_TOO_LONG: Final = re.compile(
    r"input \((\d+) tokens\) is too large to process.*current batch size: (\d+)"
)
_FAULTS_OF_CALLER: Final = (
    "Failed to parse",
    "Unknown reasoning format",
    "image input is not",
    "audio input is not",
)
"""How the messages begin that llama.cpp sends with a 500 although the request is wrong."""


async def refusal_of_response(response: aiohttp.ClientResponse) -> HTTPRefusal:
    """Return the refusal for an engine's response that is not a 200."""
    try:
        body: Any = orjson.loads(await read_error(response))
        error: Any = body["error"]
        return refusal_of(response.status, str(error["message"]), str(error.get("type", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        message = f"the engine responded with status {response.status}"
        return HTTPRefusal(502, message, code="engine_error")


def refusal_of(status: int, message: str, type_: str) -> HTTPRefusal:
    """Return the refusal for an engine's error.

    The engine's own 401 and 404 are about the platform's request, not the caller's, so they become
    a 502.

    Args:
        status: of the engine.
        message: of the engine.
        type_: the `type` of the engine's error; empty if it has none.
    """
    too_long = _TOO_LONG.match(message)
    if too_long is not None:
        message = (
            f"an input of {too_long[1]} tokens is too long;"
            f" this model accepts at most {too_long[2]} tokens"
        )
        return HTTPRefusal(400, message, code="context_length_exceeded")
    message = message.removesuffix(", try increasing it")  # callers cannot
    if type_ == "exceed_context_size_error":
        return HTTPRefusal(400, message, code="context_length_exceeded")
    if status == 500 and message.startswith(_FAULTS_OF_CALLER):
        return HTTPRefusal(400, message, code="invalid_request")
    if status in (400, 413, 422, 429):
        return HTTPRefusal(status, message, code="invalid_request", type_=type_)
    if status == 503:
        return HTTPRefusal(503, message, code="engine_unavailable", headers=RETRY_AFTER)
    return HTTPRefusal(
        500 if status == 500 else 502, message, code="engine_error", type_="server_error"
    )
