"""The data plane's routes: calls to workloads, served by their engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from aiohttp import web

from inferencekey.local.data_plane.engine_client import EngineUnreachable, engine_died
from inferencekey.local.data_plane.programs import ProgramCalls
from inferencekey.local.data_plane.stand_ins import Checked, StandInCalls, check
from inferencekey.local.defaults import HOLD_SECONDS
from inferencekey.local.engines.engine import RunningEngine
from inferencekey.local.http.admission import Admission, no_workload
from inferencekey.local.http.bodies import parse_object, read_body
from inferencekey.local.http.errors import HTTPRefusal, json_response
from inferencekey.local.manager.manager import NotServing, WorkloadManager
from inferencekey.local.records import StoredWorkload
from inferencekey.local.store import Store

__all__ = ["Gateway"]

ENGINES_TRIED: Final = 4
"""How many engines may be gone, one after the other, before a call fails."""

_TASK_TYPES: Final = {
    "/v1/chat/completions": ("text2text", "omni"),
    "/v1/completions": ("text2text", "omni"),
    "/v1/embeddings": ("embedding",),
    "/v1/rerank": ("reranker",),
}
"""The paths that stand-ins serve, and for which task types."""

_PROGRAMS_ONLY: Final = {
    "/v1/images/generations": "POST",
    "/v1/images/edits": "POST",
    "/v1/images/variations": "POST",
    "/v1/audio/speech": "POST",
    "/v1/audio/generate": "POST",
    "/v1/audio/transcriptions": "POST",
    "/v1/audio/voices": "GET",
}
"""The contract's paths that no stand-in can serve, and their methods."""

_REFUSAL_CODES: Final = {
    "error": "workload_error",
    "unserved": "workload_error",
    "not_ready": "workload_not_ready",
    "stopping": "workload_not_ready",
    "not_scheduled": "workload_not_scheduled",
}

Serve = Callable[[RunningEngine], Awaitable[web.StreamResponse]]


class Gateway:
    """The data plane's routes.

    Args:
        store: tokens and workloads.
        manager: gives the engine for a call.
        session: to the engines.
        hold: seconds that a call waits for a workload that is still starting.
    """

    def __init__(
        self,
        store: Store,
        manager: WorkloadManager,
        session: aiohttp.ClientSession,
        *,
        hold: float = HOLD_SECONDS,
    ) -> None:
        self._admission = Admission(store)
        self._manager = manager
        self._stand_ins = StandInCalls(session)
        self._programs = ProgramCalls(session)
        self._hold = hold

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        base = "/endpoint/{project}/{slug}"
        return [
            *(web.post(base + path, self.call) for path in _TASK_TYPES),
            web.get(f"{base}/v1/models", self.models),
            web.post(f"{base}/forecast", self.not_implemented),
            web.post(f"{base}/jobs", self.not_implemented),
            web.route("*", f"{base}/v1/{{rest:.+}}", self.pass_through),
        ]

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Serve a path that stand-ins serve too: chat, completions, embeddings, rerank."""
        workload = self._admission.admit_call(request)
        path = _engine_path(request)
        raw = await read_body(request)
        body: dict[str, Any] = parse_object(raw)
        checked: Checked | None = None
        if self._manager.is_stand_in(workload.id):
            # Before an engine is started for a call that is wrong. What an installed program
            # accepts is not known here.
            checked = _check(workload, path, body)

        async def serve(engine: RunningEngine) -> web.StreamResponse:
            if engine.installed:
                return await self._programs.serve(request, engine, path, raw, body)
            valid = _check(workload, path, body) if checked is None else checked
            return await self._stand_ins.serve(request, engine, path, valid)

        return await self._with_engine(workload, serve)

    async def pass_through(self, request: web.Request) -> web.StreamResponse:
        """Pass any other path below ``/v1`` to an installed program; stand-ins serve none."""
        workload = self._admission.admit_call(request)
        path = _engine_path(request)
        if self._manager.is_stand_in(workload.id):
            raise _not_served_by_stand_ins(request, workload, path)
        raw = await read_body(request)

        async def serve(engine: RunningEngine) -> web.StreamResponse:
            if not engine.installed:
                raise _not_served_by_stand_ins(request, workload, path)
            return await self._programs.serve(request, engine, path, raw)

        return await self._with_engine(
            workload, serve, unserved=lambda: _not_served_by_stand_ins(request, workload, path)
        )

    async def models(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/models``: the model that serves the workload."""

        async def serve(engine: RunningEngine) -> web.StreamResponse:
            model = {"id": engine.model_name, "object": "model", "created": 0, "owned_by": "local"}
            return json_response({"object": "list", "data": [model]})

        return await self._with_engine(self._admission.admit_call(request), serve)

    async def not_implemented(self, request: web.Request) -> web.StreamResponse:
        """Refuse a path of the contract that no engine of this machine can serve."""
        raise _not_implemented(self._admission.admit_call(request), _engine_path(request))

    async def _with_engine(
        self,
        workload: StoredWorkload,
        serve: Serve,
        unserved: Callable[[], HTTPRefusal] | None = None,
    ) -> web.StreamResponse:
        """Serve a call with one of the workload's engines, which has it until the response is sent.

        When the engine is gone before anything was sent to it, another one is tried.

        Args:
            workload: whose call.
            serve: sends the call to an engine.
            unserved: returns the refusal when no engine on this machine can serve the workload.
        """
        gone: list[RunningEngine] = []
        while len(gone) < ENGINES_TRIED:
            try:
                async with self._manager.acquire(workload.id, self._hold, gone) as engine:
                    try:
                        return await serve(engine)
                    except EngineUnreachable:
                        gone.append(engine)
            except NotServing as error:
                if error.reason == "unserved" and unserved is not None:
                    raise unserved() from None
                raise _refusal_of(workload, error) from None
        raise engine_died()


def _engine_path(request: web.Request) -> str:
    """Return the path below the workload, as it came over the wire."""
    path = "/" + request.rel_url.raw_path.split("/", 4)[4]
    # An engine that resolves `..` would serve paths that callers have no access to.
    if any(step in (".", "..") for step in request.path.split("/")):
        raise HTTPRefusal(404, "no such path")
    return path


def _check(workload: StoredWorkload, path: str, body: dict[str, Any]) -> Checked:
    task_types = _TASK_TYPES[path]
    if workload.task_type not in task_types:
        raise HTTPRefusal(
            400,
            f"the workload {workload.slug!r} has the task type {workload.task_type}; "
            f"this path requires {' or '.join(task_types)}",
            code="wrong_task_type",
        )
    return check(path, body)


def _not_served_by_stand_ins(
    request: web.Request, workload: StoredWorkload, path: str
) -> HTTPRefusal:
    if path in _TASK_TYPES:
        allowed: str | None = "POST"
    elif path == "/v1/models":
        allowed = "GET"
    else:
        allowed = _PROGRAMS_ONLY.get(path)
    if allowed is None:
        return HTTPRefusal(404, "no such path")
    if request.method != allowed:
        return HTTPRefusal(405, "method not allowed", headers={"Allow": allowed})
    return _not_implemented(workload, path)


def _not_implemented(workload: StoredWorkload, path: str) -> HTTPRefusal:
    message = f"the local platform has no engine for {path} (workload {workload.slug!r})"
    return HTTPRefusal(501, message, code="not_implemented")


def _refusal_of(workload: StoredWorkload, error: NotServing) -> HTTPRefusal:
    if error.reason == "deleted":
        return no_workload(workload.project, workload.slug)
    if error.reason == "died":
        return engine_died()
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    message = f"the workload {workload.slug!r} cannot serve this call: {error.message}"
    return HTTPRefusal(503, message, code=_REFUSAL_CODES[error.reason], headers=headers)
