"""Calls to stand-ins: checked more strictly than llama.cpp does, and sent in small parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from inferencekey.errors import ValidationError
from inferencekey.local.data_plane.checks import (
    RerankRequest,
    check_chat,
    check_completion,
    check_embeddings,
    check_rerank,
)
from inferencekey.local.data_plane.engine_client import engine_died, post_json
from inferencekey.local.data_plane.engine_errors import refusal_of, refusal_of_response
from inferencekey.local.data_plane.rerank import rank
from inferencekey.local.data_plane.streams.collect import StreamError, collect, streaming_request
from inferencekey.local.data_plane.streams.relay import relay
from inferencekey.local.engines.engine import RunningEngine
from inferencekey.local.engines.stand_ins.kinds import DIMENSIONS, SLOTS
from inferencekey.local.http.errors import HTTPRefusal, json_response

__all__ = ["Checked", "StandInCalls", "check"]

Checked = dict[str, Any] | RerankRequest
"""A body that a stand-in can be asked."""

BATCH: Final = 32
"""How many inputs are embedded in one request to the engine: about a quarter of a second's work.

llama.cpp does not stop the computation of embeddings before it is done.
"""


def check(path: str, body: dict[str, Any]) -> Checked:
    """Return the body as a stand-in gets it.

    Args:
        path: one that stand-ins serve: `/v1/chat/completions`, ….
        body: as the caller sent it.

    Raises:
        HTTPRefusal: 400, the body is wrong.
    """
    try:
        match path:
            case "/v1/chat/completions":
                return check_chat(body, slots=SLOTS)
            case "/v1/completions":
                return check_completion(body, slots=SLOTS)
            case "/v1/embeddings":
                return check_embeddings(body, dimensions=DIMENSIONS)
            case _:
                return check_rerank(body)
    except ValidationError as error:
        raise HTTPRefusal(400, error.detail, code="invalid_request") from None


class StandInCalls:
    """Serves calls with a stand-in.

    Args:
        session: to the engines.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def serve(
        self, request: web.Request, engine: RunningEngine, path: str, checked: Checked
    ) -> web.StreamResponse:
        """Send a call to the stand-in, and its response to the caller.

        Args:
            request: the caller's request.
            engine: the stand-in.
            path: one that stand-ins serve: `/v1/chat/completions`, ….
            checked: the body of the request.

        Raises:
            EngineUnreachable: nothing was sent.
            HTTPRefusal: the engine refused the call, or broke.
        """
        if isinstance(checked, RerankRequest):
            return await self._rerank(engine, checked)
        if path == "/v1/embeddings":
            return json_response(await self._embed(engine, checked))
        return await self._generate(request, engine, path, checked)

    async def _generate(
        self, request: web.Request, engine: RunningEngine, path: str, body: dict[str, Any]
    ) -> web.StreamResponse:
        wants_stream = body.get("stream", False)
        if not wants_stream:
            body = streaming_request(body)
        async with self._post(engine, path, body) as response:
            if wants_stream:
                return await relay(request, response)
            try:
                return json_response(await collect(response))
            except StreamError as error:
                raise refusal_of(error.status, error.message, "") from None

    async def _rerank(self, engine: RunningEngine, checked: RerankRequest) -> web.Response:
        inputs = [checked.query, *checked.documents]
        body = await self._embed(engine, {"input": inputs})
        query, *documents = (item["embedding"] for item in body["data"])
        results = rank(query, documents, checked.top_n)
        return json_response({"results": results, "model": body["model"], "usage": body["usage"]})

    async def _embed(self, engine: RunningEngine, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of the engine's response.

        A long list is sent in batches. Between two of them, the end of the caller's connection
        stops this method.
        """
        given = body["input"]
        inputs: list[Any] = given
        if isinstance(given, str) or isinstance(given[0], int):
            inputs = [given]  # one text, or the token ids of one text
        whole: dict[str, Any] | None = None
        for start in range(0, len(inputs), BATCH):
            batch = {**body, "input": inputs[start : start + BATCH]}
            async with self._post(engine, "/v1/embeddings", batch) as response:
                try:
                    part: dict[str, Any] = orjson.loads(await response.read())
                except (aiohttp.ClientError, ValueError):
                    raise engine_died() from None
            whole = part if whole is None else _append_batch(whole, part, start)
        return whole or {}

    @asynccontextmanager
    async def _post(
        self, engine: RunningEngine, path: str, body: dict[str, Any]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a request; give the block the response if it is a 200, and close it afterwards."""
        response = await post_json(self._session, engine, path, body)
        try:
            if response.status != 200:
                raise await refusal_of_response(response)
            yield response
        finally:
            response.close()


def _append_batch(whole: dict[str, Any], part: dict[str, Any], start: int) -> dict[str, Any]:
    """Append the vectors of a batch, whose first input has the index *start*."""
    data = [{**item, "index": item["index"] + start} for item in part["data"]]
    usage = {name: whole["usage"][name] + count for name, count in part["usage"].items()}
    return {**whole, "data": [*whole["data"], *data], "usage": usage}
