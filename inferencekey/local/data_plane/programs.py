"""Calls to installed programs: sent on as they come, except for the name of the model."""

from __future__ import annotations

from typing import Any, Final, cast

import aiohttp
import orjson
from aiohttp import web

from inferencekey.local.data_plane.engine_client import engine_died, read_error, send
from inferencekey.local.data_plane.multipart import replace_field
from inferencekey.local.data_plane.streams.collect import StreamError, collect, streaming_request
from inferencekey.local.data_plane.streams.relay import relay
from inferencekey.local.engines.engine import RunningEngine
from inferencekey.local.http.errors import HTTPRefusal, json_response

__all__ = ["ProgramCalls"]

_REQUEST_HEADERS: Final = ("Content-Type", "Accept")
_RESPONSE_HEADERS: Final = (
    "Content-Type",
    "Content-Disposition",
    "Content-Encoding",
    "Retry-After",
)
_TEXT_PATHS: Final = ("/v1/chat/completions", "/v1/completions")
_JSON_TYPES: Final = ("application/json", "application/octet-stream", "text/plain")
"""Content types that a JSON body may have: some clients forget to set one."""


class ProgramCalls:
    """Serves calls with an installed program.

    Args:
        session: to the engines.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def serve(
        self,
        request: web.Request,
        engine: RunningEngine,
        path: str,
        body: bytes,
        parsed: dict[str, Any] | None = None,
    ) -> web.StreamResponse:
        """Send a call to the program, and its response to the caller.

        Args:
            request: the caller's request.
            engine: the program.
            path: below the workload, as it goes over the wire: `/v1/…`.
            body: as the caller sent it.
            parsed: the same body, if it has been parsed as a JSON object already.

        Raises:
            EngineUnreachable: nothing was sent.
            HTTPRefusal: 502, the program broke before it had responded.
        """
        headers = {
            name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers
        }
        if parsed is None:
            parsed = _json_object(request, body)
        collects = False
        if parsed is not None:
            # Only a stream can be stopped when the caller leaves.
            collects = path in _TEXT_PATHS and engine.streams_only and not parsed.get("stream")
            if collects:
                parsed = streaming_request(parsed)
            body = orjson.dumps({**parsed, "model": engine.model_name})
            headers["Content-Type"] = "application/json"
        elif request.content_type == "multipart/form-data":
            body = replace_field(body, request.headers["Content-Type"], "model", engine.model_name)
        response = await send(
            self._session, engine, request.method, _target(request, path), body, headers
        )
        try:
            return await _send_on(request, response, path, collects=collects)
        finally:
            response.close()


def _json_object(request: web.Request, body: bytes) -> dict[str, Any] | None:
    """Return the body if it is a JSON object."""
    if request.content_type not in _JSON_TYPES:
        return None
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _target(request: web.Request, path: str) -> str:
    query = request.rel_url.raw_query_string
    return f"{path}?{query}" if query else path


async def _send_on(
    request: web.Request, response: aiohttp.ClientResponse, path: str, *, collects: bool
) -> web.StreamResponse:
    """Send the program's response to the caller.

    Args:
        request: the caller's request.
        response: the program's response; only its headers have been read.
        path: below the workload.
        collects: whether the caller did not ask for the stream that the program was asked for.
    """
    if response.status in (401, 403):
        # The platform authenticates to the program. The caller's key was good.
        raise HTTPRefusal(
            502,
            f"the engine refused the platform's key (status {response.status})",
            code="engine_error",
        )
    headers = {
        name: response.headers[name] for name in _RESPONSE_HEADERS if name in response.headers
    }
    if response.status >= 300:
        body = await read_error(response)
        return web.Response(body=body, status=response.status, headers=headers)
    if response.content_type != "text/event-stream":
        return await _copy(request, response, headers)
    if collects:
        return await _collect(response)
    # The end of a body without a length and without chunks is the end of its connection (RFC 9112,
    # section 6.3). Then a program that was killed looks like one that is done.
    has_no_end = response.content_length is None and "Transfer-Encoding" not in response.headers
    return await relay(
        request,
        response,
        ends_with_done=False,
        ends_with_reason=path in _TEXT_PATHS and has_no_end,
    )


async def _collect(response: aiohttp.ClientResponse) -> web.Response:
    try:
        return json_response(await collect(response))
    except StreamError as error:
        raise HTTPRefusal(error.status, error.message, code="engine_error") from None


async def _copy(
    request: web.Request, engine_response: aiohttp.ClientResponse, headers: dict[str, str]
) -> web.StreamResponse:
    """Copy the body as it comes; when the engine dies, cut the caller's connection too."""
    # Prepared after the first read: until then an engine that dies can still be a 502.
    response = web.StreamResponse(status=engine_response.status, headers=headers)
    response.content_length = engine_response.content_length
    try:
        part = await engine_response.content.readany()
    except (aiohttp.ClientError, OSError):
        raise engine_died() from None
    await response.prepare(request)
    try:
        while part:
            await response.write(part)
            part = await engine_response.content.readany()
    except aiohttp.ClientError:
        if request.transport is not None:
            request.transport.close()
    return response
