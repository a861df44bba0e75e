"""A whole answer from an engine that is asked to stream.

llama.cpp stops computing when a stream is closed, and at nothing else.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from inferencekey._core.data.sse import SSEDecoder
from inferencekey.local.data_plane.collect import Assembly
from inferencekey.local.data_plane.engine_client import died

__all__ = ["as_stream", "assembled"]


def as_stream(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body that asks for what *body* asks for as a stream that can be put together again."""
    options: dict[str, Any] = body.get("stream_options") or {}
    return {**body, "stream": True, "stream_options": {**options, "include_usage": True}}


async def assembled(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read a stream to its end and return the answer that it makes.

    Raises:
        StreamError: the engine said in the stream that it failed.
        HTTPRefusal: 502, it broke.
    """
    decoder, assembly = SSEDecoder(), Assembly()
    try:
        async for part in answer.content.iter_any():
            for event in decoder.feed(part):
                assembly.take(event)
    except (aiohttp.ClientError, ValueError):
        raise died() from None
    if not assembly.done:
        raise died()
    return assembly.answer()
