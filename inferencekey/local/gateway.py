"""The data plane: calls to workloads, checked here, answered by their engines."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import orjson
from aiohttp import web

from inferencekey._core.slugs import canonical_slug
from inferencekey._core.sse import SSEDecoder
from inferencekey.errors import ValidationError
from inferencekey.local.assemble import Assembly, StreamError
from inferencekey.local.choose import RunningEngine
from inferencekey.local.defaults import DATA_BODY_BYTES, HOLD_SECONDS
from inferencekey.local.guard import bearer, read_json
from inferencekey.local.lifecycle import Lifecycle, NotServing
from inferencekey.local.refusals import Refused
from inferencekey.local.relay import relay
from inferencekey.local.requests import check_chat, check_completion, check_embeddings, check_rerank
from inferencekey.local.rerank import ranked
from inferencekey.local.store import Store, StoredWorkload
from inferencekey.local.tokens import Need, authorise

__all__ = ["Gateway"]

T = TypeVar("T")

SLOTS: Final = 4
"""How many sequences a stand-in computes at once."""

DIMENSIONS: Final = 384
"""The length of the stand-in's vectors."""

BATCH: Final = 32
"""Inputs embedded in one request to the engine, which it does not stop early: about a quarter of a second's work."""

ONE_WRITE: Final = 512 * 1024

RETRY_AFTER: Final = {"Retry-After": "2"}

_GENERATING: Final = ("text2text", "omni")

_ELSEWHERE: Final = (
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("POST", "/v1/images/variations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/generate"),
    ("POST", "/v1/audio/transcriptions"),
    ("GET", "/v1/audio/voices"),
    ("POST", "/forecast"),
    ("POST", "/jobs"),
)
"""The contract's paths that no engine here can answer."""


class Gateway:
    """The data plane's routes.

    Args:
        store: tokens and workloads.
        lifecycle: which engine serves a workload.
        session: to the engines.
        hold: seconds a call waits for a workload that is still coming up.
    """

    def __init__(
        self, store: Store, lifecycle: Lifecycle, session: aiohttp.ClientSession, *, hold: float = HOLD_SECONDS
    ) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._session = session
        self._hold = hold

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        base = "/endpoint/{project}/{workload}"
        return [
            web.post(f"{base}/v1/chat/completions", self.chat),
            web.post(f"{base}/v1/completions", self.complete),
            web.post(f"{base}/v1/embeddings", self.embed),
            web.post(f"{base}/v1/rerank", self.rerank),
            web.get(f"{base}/v1/models", self.models),
            *(web.route(method, base + path, self.elsewhere) for method, path in _ELSEWHERE),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """``POST /v1/chat/completions``."""
        workload = self._admit(request, _GENERATING)
        body = await self._body(request, lambda given: check_chat(given, slots=SLOTS))
        return await self._generate(request, workload, "/v1/chat/completions", body)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """``POST /v1/completions``."""
        workload = self._admit(request, _GENERATING)
        body = await self._body(request, lambda given: check_completion(given, slots=SLOTS))
        return await self._generate(request, workload, "/v1/completions", body)

    async def embed(self, request: web.Request) -> web.Response:
        """``POST /v1/embeddings``."""
        workload = self._admit(request, ("embedding",))
        body = await self._body(request, lambda given: check_embeddings(given, dimensions=DIMENSIONS))
        return _json(await self._embeddings(workload, body))

    async def rerank(self, request: web.Request) -> web.Response:
        """``POST /v1/rerank``: by the similarity of embeddings."""
        workload = self._admit(request, ("reranker",))
        asked = await self._body(request, check_rerank)
        answer = await self._embeddings(workload, {"input": [asked.query, *asked.documents]})
        query, *documents = (item["embedding"] for item in answer["data"])
        results = ranked(query, documents, asked.top_n)
        return _json({"results": results, "model": answer["model"], "usage": answer["usage"]})

    async def models(self, request: web.Request) -> web.Response:
        """``GET /v1/models``: the one that answers."""
        engine = await self._engine(self._admit(request))
        model = {"id": engine.model_name, "object": "model", "created": 0, "owned_by": "local"}
        return _json({"object": "list", "data": [model]})

    async def elsewhere(self, request: web.Request) -> web.Response:
        """Answer honestly where no engine of this machine can."""
        workload = self._admit(request)
        path = request.path.split("/", 4)[4]
        raise Refused(
            501, f"the local platform has no engine for /{path} (workload {workload.slug!r})", code="not_implemented"
        )

    # Before the engine

    def _admit(self, request: web.Request, task_types: Sequence[str] = ()) -> StoredWorkload:
        """Return the workload of the path, if the key may call it and it does what the path is for."""
        project = request.match_info["project"]
        slug = canonical_slug(request.match_info["workload"])
        text = bearer(request)
        token = None if text is None else self._store.token(text)
        refusal = authorise(token, Need("live", project, workload=slug))
        if refusal is not None:
            raise Refused(refusal.status, refusal.message, code=refusal.code)
        workload = self._store.workload(project, slug)
        if workload is None:
            raise Refused(404, f"no workload {slug!r} in the project {project!r}", code="workload_not_found")
        if task_types and workload.task_type not in task_types:
            raise Refused(
                400,
                f"the workload {slug!r} is of task type {workload.task_type}; this path is for {', '.join(task_types)}",
                code="wrong_task_type",
            )
        return workload

    async def _body(self, request: web.Request, check: Callable[[Mapping[str, object]], T]) -> T:
        body = await read_json(request, DATA_BODY_BYTES)
        try:
            return check(body)
        except ValidationError as error:
            raise Refused(400, str(error), code="invalid_request") from None

    async def _engine(self, workload: StoredWorkload) -> RunningEngine:
        try:
            return await self._lifecycle.engine(workload.id, self._hold)
        except NotServing as error:
            raise Refused(
                503,
                f"the workload {workload.slug!r} cannot answer: {error.message}",
                code="workload_not_ready" if error.temporary else "workload_error",
                headers=RETRY_AFTER if error.temporary else {},
            ) from None

    # To the engine and back

    async def _generate(
        self, request: web.Request, workload: StoredWorkload, path: str, body: dict[str, Any]
    ) -> web.StreamResponse:
        wants_stream = body.get("stream", False)
        body = {**body, "stream": True}
        if not wants_stream:
            body["stream_options"] = {"include_usage": True}
        async with self._ask(workload, path, body) as answer:
            if wants_stream:
                return await relay(request, answer)
            return _json(await _assembled(answer))

    async def _embeddings(self, workload: StoredWorkload, body: dict[str, Any]) -> dict[str, Any]:
        """Return the engine's answer; long lists go in batches, so that a caller who leaves is noticed between them."""
        given = body["input"]
        texts: list[Any] = [given] if isinstance(given, str) or isinstance(given[0], int) else given
        whole: dict[str, Any] = {}
        for start in range(0, len(texts), BATCH):
            async with self._ask(workload, "/v1/embeddings", {**body, "input": texts[start : start + BATCH]}) as answer:
                try:
                    part: dict[str, Any] = orjson.loads(await answer.read())
                except (aiohttp.ClientError, ValueError):
                    raise _died() from None
            whole = _appended(whole, part, start) if whole else part
        return whole

    @asynccontextmanager
    async def _ask(
        self, workload: StoredWorkload, path: str, body: dict[str, Any]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a request and give its answer, if that is a 200; leaving the block ends it, wherever it is."""
        answer = await self._sent(workload, path, body)
        try:
            if answer.status != 200:
                raise await _engine_refusal(answer)
            yield answer
        finally:
            answer.close()

    async def _sent(self, workload: StoredWorkload, path: str, body: dict[str, Any]) -> aiohttp.ClientResponse:
        while True:
            engine = await self._engine(workload)
            headers = {"Authorization": f"Bearer {engine.api_key}", "Content-Type": "application/json"}
            # Some of the engine's answers repeat the request's model; it must be the one that answers.
            data = orjson.dumps({**body, "model": engine.model_name})
            try:
                return await self._session.post(engine.address + path, data=_in_pieces(data), headers=headers)
            except aiohttp.ClientConnectorError:
                # It died a moment ago, and nothing was sent: wait for its successor like any other call.
                if not await self._lifecycle.lost(workload.id, engine):
                    raise _died() from None
            except aiohttp.ClientError:
                raise _died() from None


def _in_pieces(data: bytes) -> bytes | io.BytesIO:
    """Return what aiohttp may write in one go, as it is; more as a file, which it writes piece by piece."""
    return data if len(data) <= ONE_WRITE else io.BytesIO(data)


async def _assembled(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    decoder, assembly = SSEDecoder(), Assembly()
    try:
        async for part in answer.content.iter_any():
            for event in decoder.feed(part):
                assembly.take(event)
    except StreamError as error:
        raise _refusal(error.status, error.message, "") from None
    except (aiohttp.ClientError, ValueError):
        raise _died() from None
    if not assembly.done:
        raise _died()
    return assembly.answer()


def _died() -> Refused:
    return Refused(502, "the engine died before it had answered; it is being started again", code="engine_died")


def _appended(whole: dict[str, Any], part: dict[str, Any], start: int) -> dict[str, Any]:
    """Add the answer for the inputs from *start* on to the answer for those before."""
    data = [{**item, "index": item["index"] + start} for item in part["data"]]
    usage = {name: whole["usage"][name] + count for name, count in part["usage"].items()}
    return {**whole, "data": [*whole["data"], *data], "usage": usage}


# What the engine refuses

_TOO_LONG: Final = re.compile(r"input \((\d+) tokens\) is too large to process.*current batch size: (\d+)")
_CALLERS_FAULT: Final = ("Failed to parse", "Unknown reasoning format", "image input is not", "audio input is not")


async def _engine_refusal(answer: aiohttp.ClientResponse) -> Refused:
    try:
        body: Any = orjson.loads(await answer.read())
        error: Any = body["error"]
        return _refusal(answer.status, str(error["message"]), str(error.get("type", "")))
    except (aiohttp.ClientError, ValueError, TypeError, KeyError, AttributeError):
        return Refused(502, f"the engine answered with status {answer.status}", code="engine_error")


def _refusal(status: int, message: str, type_: str) -> Refused:
    """Return the caller's answer for an engine's error.

    llama.cpp says 500 to some requests that are merely wrong. Its own 401 and 404 are between us and it.
    """
    too_long = _TOO_LONG.match(message)
    if too_long is not None:
        message = f"an input of {too_long[1]} tokens is longer than the {too_long[2]} that this model can take"
        return Refused(400, message, code="context_length_exceeded")
    message = message.removesuffix(", try increasing it")  # the caller cannot
    if type_ == "exceed_context_size_error":
        return Refused(400, message, code="context_length_exceeded")
    if status == 500 and message.startswith(_CALLERS_FAULT):
        return Refused(400, message, code="invalid_request")
    if status in (400, 413, 422, 429):
        return Refused(status, message, code="invalid_request", type_=type_)
    if status == 503:
        return Refused(503, message, code="engine_unavailable", headers=RETRY_AFTER)
    return Refused(500 if status == 500 else 502, message, code="engine_error", type_="server_error")


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
