"""Calls as the stand-ins take them: checked more strictly than llama.cpp does, cut to its measure, put right on the way back."""

from __future__ import annotations

import re
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
from inferencekey.local.data_plane.collect import StreamError
from inferencekey.local.data_plane.engine_client import died, error_body_of, post_json
from inferencekey.local.data_plane.relay import relay
from inferencekey.local.data_plane.rerank import ranked
from inferencekey.local.data_plane.whole import as_stream, assembled
from inferencekey.local.engines.choose import RunningEngine
from inferencekey.local.engines.stand_ins.engines import SLOTS
from inferencekey.local.http.errors import RETRY_AFTER, HTTPRefusal, json_response

__all__ = ["Checked", "StandInCalls", "check"]

Checked = dict[str, Any] | RerankRequest

DIMENSIONS: Final = 384
"""The length of the stand-in's vectors."""

BATCH: Final = 32
"""Inputs embedded in one request to the engine, which it does not stop early: about a quarter of a second's work."""


def check(path: str, body: dict[str, Any]) -> Checked:
    """Return what a stand-in is to answer.

    Args:
        path: one of those that stand-ins know: `/v1/chat/completions`, ….
        body: as the caller sent it.

    Raises:
        HTTPRefusal: 400, the call is wrong.
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
    """Answers calls with a stand-in.

    Args:
        session: to the engines.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def answer(
        self, request: web.Request, engine: RunningEngine, path: str, asked: Checked
    ) -> web.StreamResponse:
        """Answer a call.

        Args:
            request: the caller's.
            engine: the stand-in.
            path: one of those that stand-ins know: `/v1/chat/completions`, ….
            asked: its body, checked.

        Raises:
            Unreached: the engine is not there; nothing was sent.
            HTTPRefusal: the engine says no.
        """
        if isinstance(asked, RerankRequest):
            return await self._rerank(engine, asked)
        if path == "/v1/embeddings":
            return json_response(await self._embeddings(engine, asked))
        return await self._generate(request, engine, path, asked)

    async def _generate(
        self, request: web.Request, engine: RunningEngine, path: str, body: dict[str, Any]
    ) -> web.StreamResponse:
        wants_stream = body.get("stream", False)
        async with self._ask(engine, path, body if wants_stream else as_stream(body)) as answer:
            if wants_stream:
                return await relay(request, answer)
            try:
                return json_response(await assembled(answer))
            except StreamError as error:
                raise _refusal(error.status, error.message, "") from None

    async def _rerank(self, engine: RunningEngine, asked: RerankRequest) -> web.Response:
        """By the similarity of embeddings."""
        answer = await self._embeddings(engine, {"input": [asked.query, *asked.documents]})
        query, *documents = (item["embedding"] for item in answer["data"])
        results = ranked(query, documents, asked.top_n)
        return json_response(
            {"results": results, "model": answer["model"], "usage": answer["usage"]}
        )

    async def _embeddings(self, engine: RunningEngine, body: dict[str, Any]) -> dict[str, Any]:
        """Return the engine's answer; long lists go in batches, so that a caller who leaves is noticed between them."""
        given = body["input"]
        texts: list[Any] = [given] if isinstance(given, str) or isinstance(given[0], int) else given
        whole: dict[str, Any] = {}
        for start in range(0, len(texts), BATCH):
            async with self._ask(
                engine, "/v1/embeddings", {**body, "input": texts[start : start + BATCH]}
            ) as answer:
                try:
                    part: dict[str, Any] = orjson.loads(await answer.read())
                except (aiohttp.ClientError, ValueError):
                    raise died() from None
            whole = _appended(whole, part, start) if whole else part
        return whole

    @asynccontextmanager
    async def _ask(
        self, engine: RunningEngine, path: str, body: dict[str, Any]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a request and give its answer, if that is a 200; leaving the block ends it, wherever it is."""
        answer = await post_json(self._session, engine, path, body)
        try:
            if answer.status != 200:
                raise await _engine_refusal(answer)
            yield answer
        finally:
            answer.close()


def _appended(whole: dict[str, Any], part: dict[str, Any], start: int) -> dict[str, Any]:
    """Add the answer for the inputs from *start* on to the answer for those before."""
    data = [{**item, "index": item["index"] + start} for item in part["data"]]
    usage = {name: whole["usage"][name] + count for name, count in part["usage"].items()}
    return {**whole, "data": [*whole["data"], *data], "usage": usage}


# What the engine refuses

_TOO_LONG: Final = re.compile(
    r"input \((\d+) tokens\) is too large to process.*current batch size: (\d+)"
)
_CALLERS_FAULT: Final = (
    "Failed to parse",
    "Unknown reasoning format",
    "image input is not",
    "audio input is not",
)


async def _engine_refusal(answer: aiohttp.ClientResponse) -> HTTPRefusal:
    try:
        body: Any = orjson.loads(await error_body_of(answer))
        error: Any = body["error"]
        return _refusal(answer.status, str(error["message"]), str(error.get("type", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return HTTPRefusal(
            502, f"the engine answered with status {answer.status}", code="engine_error"
        )


def _refusal(status: int, message: str, type_: str) -> HTTPRefusal:
    """Return the caller's answer for an engine's error.

    llama.cpp says 500 to some requests that are merely wrong. Its own 401 and 404 are between us and it.
    """
    too_long = _TOO_LONG.match(message)
    if too_long is not None:
        message = f"an input of {too_long[1]} tokens is longer than the {too_long[2]} that this model can take"
        return HTTPRefusal(400, message, code="context_length_exceeded")
    message = message.removesuffix(", try increasing it")  # the caller cannot
    if type_ == "exceed_context_size_error":
        return HTTPRefusal(400, message, code="context_length_exceeded")
    if status == 500 and message.startswith(_CALLERS_FAULT):
        return HTTPRefusal(400, message, code="invalid_request")
    if status in (400, 413, 422, 429):
        return HTTPRefusal(status, message, code="invalid_request", type_=type_)
    if status == 503:
        return HTTPRefusal(503, message, code="engine_unavailable", headers=RETRY_AFTER)
    return HTTPRefusal(
        500 if status == 500 else 502, message, code="engine_error", type_="server_error"
    )
