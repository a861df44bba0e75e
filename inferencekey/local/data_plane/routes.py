"""The data plane: calls to workloads, checked here, answered by their engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from aiohttp import web

from inferencekey.local.data_plane.engine_client import Unreached, died
from inferencekey.local.data_plane.programs import Forward
from inferencekey.local.data_plane.stand_ins import Checked, StandInCalls, check
from inferencekey.local.defaults import HOLD_SECONDS
from inferencekey.local.engines.choose import RunningEngine
from inferencekey.local.http.admission import Admission, no_workload
from inferencekey.local.http.bodies import parse_object, read_body
from inferencekey.local.http.errors import HTTPRefusal, json_response
from inferencekey.local.manager.manager import Lifecycle, NotServing
from inferencekey.local.records import StoredWorkload
from inferencekey.local.store import Store

__all__ = ["Gateway"]

ENGINES_TRIED: Final = 4
"""So many engines in a row may be gone when a call comes to them."""

_TASKS: Final = {
    "/v1/chat/completions": ("text2text", "omni"),
    "/v1/completions": ("text2text", "omni"),
    "/v1/embeddings": ("embedding",),
    "/v1/rerank": ("reranker",),
}
"""What stand-ins answer, and for which task types."""

_ELSEWHERE: Final = {
    "/v1/images/generations": "POST",
    "/v1/images/edits": "POST",
    "/v1/images/variations": "POST",
    "/v1/audio/speech": "POST",
    "/v1/audio/generate": "POST",
    "/v1/audio/transcriptions": "POST",
    "/v1/audio/voices": "GET",
}
"""The contract's paths that no stand-in can answer."""


class Gateway:
    """The data plane's routes.

    Args:
        store: tokens and workloads.
        lifecycle: which engine serves a workload.
        session: to the engines.
        hold: seconds a call waits for a workload that is still coming up.
    """

    def __init__(
        self,
        store: Store,
        lifecycle: Lifecycle,
        session: aiohttp.ClientSession,
        *,
        hold: float = HOLD_SECONDS,
    ) -> None:
        self._admission = Admission(store)
        self._lifecycle = lifecycle
        self._stand_ins = StandInCalls(session)
        self._forward = Forward(session)
        self._hold = hold

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        base = "/endpoint/{project}/{slug}"
        return [
            *(web.post(base + path, self.call) for path in _TASKS),
            web.get(f"{base}/v1/models", self.models),
            web.post(f"{base}/forecast", self.elsewhere),
            web.post(f"{base}/jobs", self.elsewhere),
            web.route("*", f"{base}/v1/{{rest:.+}}", self.other),
        ]

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Answer the paths that every engine may be asked: chat, completions, embeddings, rerank."""
        workload = self._admission.admit_call(request)
        path = _below(request)
        raw = await read_body(request)
        body: dict[str, Any] = parse_object(raw)

        def checked() -> Checked:
            _check_task(workload, _TASKS[path])
            return check(path, body)

        # Before an engine is started for it. What a program of the user's own takes is not known here.
        early = checked() if self._lifecycle.stand_in(workload.id) else None

        async def answer(engine: RunningEngine) -> web.StreamResponse:
            if engine.installed:
                return await self._forward.answer(request, engine, path, raw, body)
            return await self._stand_ins.answer(
                request, engine, path, checked() if early is None else early
            )

        return await self._lend(workload, answer)

    async def other(self, request: web.Request) -> web.StreamResponse:
        """Pass any other path below ``/v1`` to the workload's own program; a stand-in knows none of them."""
        workload = self._admission.admit_call(request)
        path = _below(request)
        if self._lifecycle.stand_in(workload.id):
            raise _unknown_here(request, workload, path)
        raw = await read_body(request)

        async def answer(engine: RunningEngine) -> web.StreamResponse:
            if not engine.installed:
                raise _unknown_here(request, workload, path)
            return await self._forward.answer(request, engine, path, raw)

        return await self._lend(
            workload, answer, unserved=lambda: _unknown_here(request, workload, path)
        )

    async def models(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/models``: the one that answers."""

        async def answer(engine: RunningEngine) -> web.StreamResponse:
            model = {"id": engine.model_name, "object": "model", "created": 0, "owned_by": "local"}
            return json_response({"object": "list", "data": [model]})

        return await self._lend(self._admission.admit_call(request), answer)

    async def elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Answer honestly where no engine of this machine can."""
        raise _not_implemented(self._admission.admit_call(request), _below(request))

    async def _lend(
        self,
        workload: StoredWorkload,
        answer: Callable[[RunningEngine], Awaitable[web.StreamResponse]],
        unserved: Callable[[], HTTPRefusal] | None = None,
    ) -> web.StreamResponse:
        """Answer with one of the workload's engines, which has the call until the answer is out.

        An engine that is gone before anything was sent to it is nothing that a caller has to know.
        """
        gone: list[RunningEngine] = []
        while len(gone) < ENGINES_TRIED:
            try:
                async with self._lifecycle.borrow(workload.id, self._hold, gone) as engine:
                    try:
                        return await answer(engine)
                    except Unreached:
                        gone.append(engine)
            except NotServing as error:
                if error.because == "unserved" and unserved is not None:
                    raise unserved() from None
                raise _refused(workload, error) from None
        raise died()


def _below(request: web.Request) -> str:
    """Return the path below the workload, as it came over the wire."""
    path = "/" + request.rel_url.raw_path.split("/", 4)[4]
    if any(step in (".", "..") for step in request.path.split("/")):
        raise HTTPRefusal(404, "no such path")  # an engine has paths that are not the callers'
    return path


def _check_task(workload: StoredWorkload, task_types: tuple[str, ...]) -> None:
    if workload.task_type not in task_types:
        raise HTTPRefusal(
            400,
            f"the workload {workload.slug!r} is of task type {workload.task_type}; "
            f"this path is for {', '.join(task_types)}",
            code="wrong_task_type",
        )


def _unknown_here(request: web.Request, workload: StoredWorkload, path: str) -> HTTPRefusal:
    """Return the answer for a path that the stand-ins have none for."""
    allowed = "POST" if path in _TASKS else "GET" if path == "/v1/models" else _ELSEWHERE.get(path)
    if allowed is None:
        return HTTPRefusal(404, "no such path")
    if request.method != allowed:
        return HTTPRefusal(405, "method not allowed", headers={"Allow": allowed})
    return _not_implemented(workload, path)


def _not_implemented(workload: StoredWorkload, path: str) -> HTTPRefusal:
    message = f"the local platform has no engine for {path} (workload {workload.slug!r})"
    return HTTPRefusal(501, message, code="not_implemented")


_CODES: Final = {
    "error": "workload_error",
    "unserved": "workload_error",
    "not_ready": "workload_not_ready",
    "stopping": "workload_not_ready",
    "not_scheduled": "workload_not_scheduled",
}


def _refused(workload: StoredWorkload, error: NotServing) -> HTTPRefusal:
    if error.because == "deleted":
        return no_workload(workload.project, workload.slug)
    if error.because == "died":
        return died()
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    message = f"the workload {workload.slug!r} cannot answer: {error.message}"
    return HTTPRefusal(503, message, code=_CODES[error.because], headers=headers)
