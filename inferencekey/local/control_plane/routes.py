"""The control plane: create, change, delete and list workloads, and follow their readiness."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import orjson
from aiohttp import web

from inferencekey.errors import ValidationError
from inferencekey.local.control_plane.assignment import assigned_fields
from inferencekey.local.control_plane.bodies import parse_create, parse_update
from inferencekey.local.defaults import HEARTBEAT_SECONDS
from inferencekey.local.errors import IdempotencyConflict
from inferencekey.local.http.admission import Admission, no_workload_with_id
from inferencekey.local.http.authorisation import ASSIGNERS, READERS, WRITERS, Need
from inferencekey.local.http.bodies import read_object
from inferencekey.local.http.errors import HTTPRefusal, json_response
from inferencekey.local.manager.manager import WorkloadManager
from inferencekey.local.manager.target.cron import check_schedule
from inferencekey.local.records import StoredWorkload
from inferencekey.local.store import Store
from inferencekey.local.store.writer import Writer

__all__ = ["ControlPlane"]


class ControlPlane:
    """The control plane's routes.

    Args:
        store: where workloads and tokens are read.
        write: runs the writes to the store.
        manager: starts, changes and stops the workloads.
        heartbeat: seconds without a readiness event after which a comment is sent.
    """

    def __init__(
        self,
        store: Store,
        write: Writer,
        manager: WorkloadManager,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._store = store
        self._admission = Admission(store)
        self._write = write
        self._manager = manager
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
        project = self._admission.admit_to_project(request, READERS)
        return json_response([workload.to_wire() for workload in self._store.workloads(project)])

    async def create(self, request: web.Request) -> web.Response:
        """``POST /api/projects/{project}/workloads``.

        Two requests with the same ``Idempotency-Key`` create one workload.
        """
        project = self._admission.admit_to_project(request, WRITERS)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= 255:
            raise HTTPRefusal(400, "Idempotency-Key must have 1 to 255 characters")
        body = await read_object(request)
        try:
            slug, fields = parse_create(body)
            check_schedule(fields)
        except ValidationError as error:
            raise HTTPRefusal(400, error.detail) from None
        self._require_assignment(request, project, assigned_fields(fields))

        def create() -> StoredWorkload:
            return self._store.create_workload(project, slug, fields, idempotency_key=key)

        def launch(workload: StoredWorkload) -> None:
            # A workload that an idempotency key created before has been launched already.
            if self._manager.current_event(workload.id) is None:
                self._manager.apply(workload)

        try:
            workload = await self._write(create, launch)
        except IdempotencyConflict as error:
            raise HTTPRefusal(409, str(error)) from None
        return json_response(workload.to_wire(), status=201)

    async def update(self, request: web.Request) -> web.Response:
        """``PATCH /api/workloads/{id}``: change the fields that are sent.

        A mapping such as ``config`` is replaced as a whole.
        """
        workload = self._admission.admit_to_workload(request, WRITERS)
        body = await read_object(request)

        def decide(current: StoredWorkload) -> dict[str, Any]:
            changes = parse_update(body, current)
            check_schedule(changes)
            self._require_assignment(request, workload.project, assigned_fields(changes, current))
            return changes

        def apply(change: tuple[StoredWorkload, StoredWorkload] | None) -> None:
            if change is not None:
                self._manager.apply(change[1])

        try:
            change = await self._write(
                lambda: self._store.update_workload(workload.id, decide), apply
            )
        except ValidationError as error:
            raise HTTPRefusal(400, error.detail) from None
        if change is None:
            raise no_workload_with_id(workload.id)
        return json_response(change[1].to_wire())

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE /api/workloads/{id}``."""
        workload = self._admission.admit_to_workload(request, WRITERS)
        existed = await self._write(
            lambda: self._store.delete_workload(workload.id),
            lambda _: self._manager.forget(workload.id),
        )
        if not existed:
            raise no_workload_with_id(workload.id)
        return web.Response(status=204)

    async def readiness_events(self, request: web.Request) -> web.StreamResponse:
        """``GET …/readiness-events``: the current event and the following ones.

        The stream ends with ``ready`` or ``error``.
        """
        self._admission.admit_to_project(request, READERS)
        workload = self._admission.find_workload(request)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        async with aclosing(self._manager.follow_events(workload.id, self._heartbeat)) as events:
            async for event in events:
                if event is None:
                    # A comment, which clients ignore; it shows that the connection is alive.
                    await response.write(b": still here\n\n")
                else:
                    await response.write(b"data: " + orjson.dumps(event.to_wire()) + b"\n\n")
        return response

    async def custom_backends(self, request: web.Request) -> web.Response:
        """``POST /api/tenants/{tenant}/custom-backends``: not implemented."""
        self._admission.admit_to_own_project(request, WRITERS)
        raise HTTPRefusal(501, "the local platform does not support custom backends yet")

    def _require_assignment(
        self, request: web.Request, project: str, fields: tuple[str, ...]
    ) -> None:
        """Check that the token may choose the machine of a workload, if *fields* do so."""
        if not fields:
            return
        try:
            self._admission.require(request, Need("sdk", project, ASSIGNERS))
        except HTTPRefusal as refusal:
            message = f"{refusal.message}, which {fields[0]} needs"
            raise HTTPRefusal(refusal.status, message, code=refusal.code) from None
