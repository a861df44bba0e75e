"""The control plane: workloads, and how they come up."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import ValidationError
from inferencekey.local.control_plane.assignment import assigned
from inferencekey.local.control_plane.bodies import parse_create, parse_update
from inferencekey.local.defaults import CONTROL_BODY_BYTES, HEARTBEAT_SECONDS
from inferencekey.local.errors import IdempotencyConflict
from inferencekey.local.http.authorisation import Need, authorise
from inferencekey.local.http.errors import Refused, json_answer
from inferencekey.local.http.guard import bearer, read_json
from inferencekey.local.manager.cron import check_schedule
from inferencekey.local.manager.manager import Lifecycle
from inferencekey.local.records import StoredWorkload, Token
from inferencekey.local.store.store import Store
from inferencekey.local.store.tokens import ASSIGNERS, READERS, WRITERS
from inferencekey.local.store.writer import Writer

__all__ = ["Control"]


class Control:
    """The control plane's routes.

    Args:
        store: what is remembered.
        write: how the store is written to.
        lifecycle: what happens to the workloads.
        heartbeat: seconds between two comments on a silent stream of readiness events.
    """

    def __init__(
        self,
        store: Store,
        write: Writer,
        lifecycle: Lifecycle,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._store = store
        self._write = write
        self._lifecycle = lifecycle
        self._heartbeat = heartbeat

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application."""
        workloads = "/api/projects/{project}/workloads"
        return [
            web.get(workloads, self.list_workloads),
            web.post(workloads, self.create),
            web.patch("/api/workloads/{id}", self.update),
            web.delete("/api/workloads/{id}", self.delete),
            web.get(f"{workloads}/{{slug}}/readiness-events", self.readiness_events),
            web.post("/api/tenants/{tenant}/custom-backends", self.custom_backends),
        ]

    async def list_workloads(self, request: web.Request) -> web.Response:
        """``GET /api/projects/{project}/workloads``."""
        project = request.match_info["project"]
        self._admit(request, Need("sdk", project, READERS))
        return json_answer([workload.to_wire() for workload in self._store.workloads(project)])

    async def create(self, request: web.Request) -> web.Response:
        """``POST /api/projects/{project}/workloads``; with an ``Idempotency-Key``, the same twice is one workload."""
        project = request.match_info["project"]
        self._admit(request, Need("sdk", project, WRITERS))
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= 255:
            raise Refused(400, "Idempotency-Key must have 1 to 255 characters")
        body = await read_json(request, CONTROL_BODY_BYTES)
        try:
            slug, fields = parse_create(body)
            check_schedule(fields)
        except ValidationError as error:
            raise Refused(400, _plain(error)) from None
        self._may_assign(request, project, assigned(fields))

        def create() -> StoredWorkload:
            return self._store.create_workload(project, slug, fields, idempotency_key=key)

        def launch(workload: StoredWorkload) -> None:
            # The same key again: it is on its way already.
            if self._lifecycle.stage(workload.id) is None:
                self._lifecycle.apply(workload)

        try:
            workload = await self._write(create, launch)
        except IdempotencyConflict as error:
            raise Refused(409, str(error)) from None
        return json_answer(workload.to_wire(), status=201)

    async def update(self, request: web.Request) -> web.Response:
        """``PATCH /api/workloads/{id}``: only the fields sent; ``config`` is replaced whole."""
        workload = self._admitted_workload(request)
        body = await read_json(request, CONTROL_BODY_BYTES)

        def decide(current: StoredWorkload) -> dict[str, Any]:
            changes = parse_update(body, current)
            check_schedule(changes)
            self._may_assign(request, workload.project, assigned(changes, current))
            return changes

        def apply(change: tuple[StoredWorkload, StoredWorkload] | None) -> None:
            if change is not None:
                self._lifecycle.apply(change[1])

        try:
            change = await self._write(
                lambda: self._store.update_workload(workload.id, decide), apply
            )
        except ValidationError as error:
            raise Refused(400, _plain(error)) from None
        if change is None:
            raise _no_workload(workload.id)
        return json_answer(change[1].to_wire())

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE /api/workloads/{id}``."""
        workload = self._admitted_workload(request)
        existed = await self._write(
            lambda: self._store.delete_workload(workload.id),
            lambda _: self._lifecycle.forget(workload.id),
        )
        if not existed:
            raise _no_workload(workload.id)
        return web.Response(status=204)

    async def readiness_events(self, request: web.Request) -> web.StreamResponse:
        """``GET …/readiness-events``: the current stage and those that follow, to ``ready`` or ``error``."""
        project = request.match_info["project"]
        self._admit(request, Need("sdk", project, READERS))
        slug = canonical_slug(request.match_info["slug"])
        workload = self._store.workload(project, slug)
        if workload is None:
            raise Refused(404, f"no workload {slug!r} in the project {project!r}")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        async with aclosing(self._lifecycle.stages(workload.id, self._heartbeat)) as stages:
            async for stage in stages:
                event = (
                    b": still here\n\n"
                    if stage is None
                    else b"data: " + orjson.dumps(stage.to_wire()) + b"\n\n"
                )
                await response.write(event)
        return response

    async def custom_backends(self, request: web.Request) -> web.Response:
        """``POST /api/tenants/{tenant}/custom-backends``: not here yet."""
        token = self._known(request)
        self._admit(request, Need("sdk", (token and token.project) or "", WRITERS))
        raise Refused(501, "the local platform does not take custom backends yet")

    def _known(self, request: web.Request) -> Token | None:
        text = bearer(request)
        return None if text is None else self._store.token(text)

    def _admit(self, request: web.Request, need: Need) -> None:
        refusal = authorise(self._known(request), need)
        if refusal is not None:
            raise Refused(refusal.status, refusal.message, code=refusal.code)

    def _admitted_workload(self, request: web.Request) -> StoredWorkload:
        """Return the workload of the path, if the token may change it."""
        token = self._known(request)
        workload = self._store.workload_by_id(request.match_info["id"])
        # Where there is no workload, the token's own project stands in: it may know that there is none.
        project = workload.project if workload is not None else (token and token.project) or ""
        self._admit(request, Need("sdk", project, WRITERS))
        if workload is None:
            raise _no_workload(request.match_info["id"])
        return workload

    def _may_assign(self, request: web.Request, project: str, fields: tuple[str, ...]) -> None:
        """Refuse to put a workload on a machine of the caller's choice, unless the token may."""
        if not fields:
            return
        refusal = authorise(self._known(request), Need("sdk", project, ASSIGNERS))
        if refusal is not None:
            raise Refused(
                refusal.status, f"{refusal.message}, which {fields[0]} needs", code=refusal.code
            )


def _no_workload(workload_id: str) -> Refused:
    return Refused(404, f"no workload with the id {workload_id!r}")


def _plain(error: ValidationError) -> str:
    """Return the text without the prefix that the client puts there itself."""
    return error.detail
