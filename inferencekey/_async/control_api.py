"""The requests of the control plane, and the steps of ``ensure`` and ``apply`` made of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import anyio

from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._core.control import wire
from inferencekey._core.control.converge import (
    Create,
    Discard,
    Fail,
    Finish,
    Machine,
    Read,
    Step,
    Update,
)
from inferencekey._core.control.readiness import LOG_LINES
from inferencekey._core.deadlines import for_stream, for_unary
from inferencekey._core.json import dumps, loads
from inferencekey._http.credential import Credential
from inferencekey._http.request import Request
from inferencekey._http.responses import Response, ResponseStream, annotate
from inferencekey._http.transport import Transport, idempotency_key
from inferencekey.credentials import redact
from inferencekey.errors import (
    ApiError,
    InferenceKeyError,
    NotFoundError,
    ServerError,
    TransportError,
)
from inferencekey.models import EngineLog, Workload

__all__ = ["ControlApi", "Listing"]

LAST_LINES_WAIT: Final = 5.0
"""The longest wait, in seconds, for the log lines of an error."""


class Listing:
    """The workloads of one project, as one response listed them.

    A raw workload becomes a model only when it is asked for: a project may have thousands.

    Args:
        raws: the raw workloads.
        annotate: adds the status, the request id and the body of the response to an error.
    """

    def __init__(self, raws: list[Any], annotate: Callable[[InferenceKeyError], None]) -> None:
        self._raws = raws
        self._annotate = annotate
        self._by_slug: dict[str, Any] | None = None

    def index(self) -> None:
        """Index the workloads by their slugs. It pays off when many of them are looked up."""
        with self._reading():
            self._by_slug = wire.workloads_by_slug(self._raws)

    def find(self, slug: str) -> Workload | None:
        """Return the workload with this canonical slug."""
        with self._reading():
            if self._by_slug is None:
                return wire.find_workload(self._raws, slug)
            raw = self._by_slug.get(slug)
            return None if raw is None else wire.workload(raw)

    def all(self) -> list[Workload]:
        """Return every workload."""
        with self._reading():
            return [wire.workload(raw) for raw in self._raws]

    def slugs(self) -> Iterator[str]:
        """Yield every slug."""
        return wire.slugs_of(self._raws)

    @contextmanager
    def _reading(self) -> Generator[None]:
        try:
            yield
        except InferenceKeyError as error:
            self._annotate(error)
            raise


class ControlApi:
    """The requests of a management client.

    Args:
        transport: sends the requests.
        credential: the control token.
    """

    def __init__(self, transport: Transport, credential: Credential) -> None:
        self._transport = transport
        self._credential = credential

    async def list(self, project: str) -> Listing:
        """List a project's workloads."""
        response = await self._request("GET", _workloads(project))
        with self._reading(response):
            raws = wire.workload_list(loads(response.body, "the list of workloads"))
        return Listing(raws, lambda error: self._annotate(error, response))

    async def find(self, project: str, slug: str) -> Workload | None:
        """Return the workload with this canonical slug."""
        return (await self.list(project)).find(slug)

    async def discard(self, id: str) -> None:
        """Delete a workload. One that does not exist counts as deleted."""
        try:
            await self._request("DELETE", _workload(id))
        except NotFoundError:
            pass

    async def converge(
        self, machine: Machine, project: str, first: Listing | None = None
    ) -> Finish:
        """Carry out an ``ensure`` or an ``apply``.

        Args:
            machine: decides what to do next.
            project: the project of the workload.
            first: a list of the project's workloads that replaces the first read.
        """
        key = idempotency_key()
        step = machine.start()
        if first is not None:
            step = machine.read(first.find(machine.slug), first.slugs())
        try:
            while not isinstance(step, Finish):
                step = await self._carry_out(machine, step, project, key)
        except InferenceKeyError as error:
            error.outcome_unknown = machine.outcome_unknown
            raise
        return step

    def readiness(self, project: str, slug: str) -> AsyncReadinessStream:
        """Return the readiness events of a workload."""
        path = f"{_workloads(project)}/{slug}/readiness-events"
        timeouts = for_stream(None, self._transport.timeout)

        async def connect() -> ResponseStream:
            request = Request("GET", path, self._credential, timeouts, streamed=True)
            return await self._transport.stream(request, retry=False)

        return AsyncReadinessStream(connect, self._credential.scrub)

    async def log(self, project: str, slug: str, lines: int, after: int | None) -> EngineLog:
        """Return the end of an engine's log, without credentials."""
        query = f"lines={lines}" + ("" if after is None else f"&after={after}")
        response = await self._request("GET", f"{_workloads(project)}/{slug}/logs", query=query)
        with self._reading(response):
            log = wire.engine_log(loads(response.body, "the engine's log"))
        secrets = (self._credential.reveal(),)
        return EngineLog(tuple(redact(line, secrets) for line in log.lines), log.next, log.engine)

    async def last_lines(self, project: str, slug: str) -> tuple[str, ...]:
        """Return the last lines of an engine's log, for an error.

        It returns none if the platform has no logs, or does not send them soon.
        """
        with anyio.move_on_after(LAST_LINES_WAIT):
            try:
                return (await self.log(project, slug, LOG_LINES, None)).lines[-LOG_LINES:]
            except Exception:  # noqa: S110
                # The lines only help to explain another error, which must be raised in any case.
                pass
        return ()

    async def _carry_out(self, machine: Machine, step: Step, project: str, key: str) -> Step:
        match step:
            case Read(delay):
                if delay:
                    await anyio.sleep(delay)
                listing = await self.list(project)
                return machine.read(listing.find(machine.slug), listing.slugs())
            case Create():
                return await self._create(machine, step, project, key)
            case Update():
                return await self._update(machine, step)
            case Discard():
                return await self._discard_duplicate(machine, step)
            case Fail(error):
                raise error
            case Finish():
                return step

    async def _create(self, machine: Machine, step: Create, project: str, key: str) -> Step:
        # One key for each generation: a server that honours keys creates one workload for all
        # attempts of a generation, and a conflict begins a new one.
        key = f"{key}-{step.generation}"
        try:
            stored = await self._write(
                "POST",
                _workloads(project),
                step.body,
                idempotency_key=key,
                non_idempotent=True,
            )
        except (TransportError, ServerError) as error:
            return machine.unknown(error)
        except ApiError as error:
            if error.status == 409:
                return machine.conflict(error)
            if error.status == 408:
                return machine.unknown(error)
            raise
        return machine.created(stored)

    async def _update(self, machine: Machine, step: Update) -> Step:
        try:
            stored = await self._write("PATCH", _workload(step.id), step.body)
        except NotFoundError:
            return machine.gone()
        except (TransportError, ServerError) as error:
            return machine.unknown(error)
        return machine.updated(stored)

    async def _discard_duplicate(self, machine: Machine, step: Discard) -> Step:
        try:
            await self.discard(step.id)
        except InferenceKeyError as error:
            error.args = (
                f"{error} (while deleting {step.slug!r}, a duplicate that this call had created; "
                "it may still exist)",
            )
            raise
        return machine.discarded()

    async def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        non_idempotent: bool = False,
    ) -> Workload:
        response = await self._request(
            method,
            path,
            body=dumps(body, "the spec"),
            idempotency_key=idempotency_key,
            non_idempotent=non_idempotent,
        )
        with self._reading(response):
            return wire.workload(loads(response.body, "the workload"))

    @contextmanager
    def _reading(self, response: Response) -> Generator[None]:
        try:
            yield
        except InferenceKeyError as error:
            self._annotate(error, response)
            raise

    def _annotate(self, error: InferenceKeyError, response: Response) -> None:
        annotate(error, response)
        self._credential.scrub(error)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        idempotency_key: str | None = None,
        non_idempotent: bool = False,
    ) -> Response:
        return await self._transport.request(
            Request(
                method,
                path,
                self._credential,
                for_unary(None, self._transport.timeout),
                query=query,
                body=body,
                idempotency_key=idempotency_key,
                non_idempotent=non_idempotent,
            )
        )


def _workloads(project: str) -> str:
    return f"/api/projects/{quote(project, safe='')}/workloads"


def _workload(id: str) -> str:
    return f"/api/workloads/{quote(id, safe='')}"
