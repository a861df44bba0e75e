"""Calls as a program of the user's own takes them: passed on as they came, but for the name of the model."""

from __future__ import annotations

from typing import Any, Final, cast

import aiohttp
import orjson
from aiohttp import web

from inferencekey.local.data_plane.collect import StreamError
from inferencekey.local.data_plane.engine_client import died, error_body_of, send
from inferencekey.local.data_plane.multipart import with_field
from inferencekey.local.data_plane.relay import relay
from inferencekey.local.data_plane.whole import as_stream, assembled
from inferencekey.local.engines.choose import RunningEngine
from inferencekey.local.http.errors import HTTPRefusal, json_response

__all__ = ["Forward"]

_SENT: Final = ("Content-Type", "Accept")
_RETURNED: Final = ("Content-Type", "Content-Disposition", "Content-Encoding", "Retry-After")
_GENERATED: Final = ("/v1/chat/completions", "/v1/completions")


class Forward:
    """Answers calls with an installed program.

    Args:
        session: to the engines.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def answer(
        self,
        request: web.Request,
        engine: RunningEngine,
        path: str,
        body: bytes,
        given: dict[str, Any] | None = None,
    ) -> web.StreamResponse:
        """Answer a call.

        Args:
            request: the caller's.
            engine: the program.
            path: below the workload, as it goes over the wire: `/v1/…`.
            body: as the caller sent it.
            given: the body, where it is known already that it is a JSON object.

        Raises:
            Unreached: the engine is not there; nothing was sent.
            HTTPRefusal: 502, it broke before it had answered.
        """
        headers = {name: request.headers[name] for name in _SENT if name in request.headers}
        given = _json_object(request, body) if given is None else given
        whole = (
            path in _GENERATED
            and given is not None
            and not given.get("stream")
            and engine.streams_only
        )
        if given is not None:
            asked = as_stream(given) if whole else given
            body = orjson.dumps({**asked, "model": engine.model_name})
            headers["Content-Type"] = "application/json"
        elif request.content_type == "multipart/form-data":
            body = with_field(body, request.headers["Content-Type"], "model", engine.model_name)
        query = request.rel_url.raw_query_string
        target = f"{path}?{query}" if query else path
        answer = await send(self._session, engine, request.method, target, body, headers)
        try:
            return await _passed_on(request, answer, whole, generated=path in _GENERATED)
        finally:
            answer.close()


def _json_object(request: web.Request, body: bytes) -> dict[str, Any] | None:
    """Return the body where it is a JSON object; clients forget to say so."""
    if request.content_type not in ("application/json", "application/octet-stream", "text/plain"):
        return None
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


async def _passed_on(
    request: web.Request, answer: aiohttp.ClientResponse, whole: bool, *, generated: bool
) -> web.StreamResponse:
    if answer.status in (401, 403):
        # The key is between us and it; the caller's own was good.
        raise HTTPRefusal(
            502,
            f"the engine refused the platform's key (status {answer.status})",
            code="engine_error",
        )
    headers = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
    if answer.status >= 300:
        return web.Response(body=await error_body_of(answer), status=answer.status, headers=headers)
    if answer.content_type == "text/event-stream":
        if whole:
            return await _put_together(answer)
        # Where the end of the connection is the end of the answer, a program that was killed looks like one that is done.
        unmarked = answer.content_length is None and "Transfer-Encoding" not in answer.headers
        return await relay(
            request, answer, ends_with_done=False, ends_with_reason=generated and unmarked
        )
    return await _copied(request, answer, headers)


async def _put_together(answer: aiohttp.ClientResponse) -> web.Response:
    try:
        return json_response(await assembled(answer))
    except StreamError as error:
        raise HTTPRefusal(error.status, error.message, code="engine_error") from None


async def _copied(
    request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
) -> web.StreamResponse:
    """Pass the body on as it comes; when the engine dies on the way, so does the caller's connection."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = answer.content_length
    try:
        part = await answer.content.readany()
    except (aiohttp.ClientError, OSError):
        raise died() from None
    await response.prepare(request)
    try:
        while part:
            await response.write(part)
            part = await answer.content.readany()
    except aiohttp.ClientError:
        if request.transport is not None:
            request.transport.close()
    return response
