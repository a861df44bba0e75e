"""The control plane: provisioning workloads."""

from __future__ import annotations

import ssl as ssl_module
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import anyio

from inferencekey import config
from inferencekey._async.callbacks import run_callback, warn
from inferencekey._async.progress import ReadinessPrinter
from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._core import wire
from inferencekey._core.converge import Converge, Create, Discard, Fail, Finish, Read, Step, Update
from inferencekey._core.deadlines import for_stream, for_unary
from inferencekey._core.jsonval import dumps, loads
from inferencekey._core.reconcile import make_plan
from inferencekey._core.slugs import checked_slug
from inferencekey._core.specs import check_spec, resolve_project
from inferencekey._http.body import ByteStream
from inferencekey._http.credential import Credential
from inferencekey._http.sessions import SessionFactory
from inferencekey._http.transport import Answer, Transport, idempotency_key
from inferencekey.errors import (
    ApiError,
    InferenceKeyError,
    NotFoundError,
    ReadinessError,
    ReadinessTimeout,
    ServerError,
    TransportError,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
)
from inferencekey.models import (
    EndpointRef,
    OnDrift,
    Phase,
    Plan,
    ReadinessEvent,
    RetryPolicy,
    Timeouts,
    Workload,
    WorkloadSpec,
    member,
)

__all__ = ["AsyncManagementClient"]

T = TypeVar("T")


class AsyncManagementClient:
    """Provisions workloads with an ``ik_sdk_`` token. It never calls inference.

    Args:
        base_url: the platform's URL, ``https://api.inferencekey.com`` by default.
        project: the project, where neither the call nor the spec names one.
        sdk_token: the control token.
        timeout: deadlines: a :class:`Timeouts`, or seconds for the whole of each request.
        retry: when a failed request is sent again; ``None`` for never.
        headers: sent with every request.
        proxy: an http proxy's URL; by default the environment's, ``""`` for none. Loopback is never proxied.
        ssl: a context with a custom CA or a client certificate; ``True`` for the system's CAs; ``False`` verifies nothing.
        session_factory: makes the aiohttp sessions, once per event loop; *ssl* is then the factory's business.

    Raises:
        ConfigurationError: there is no token, it is no ``ik_sdk_`` token, or the base URL is not one.
        PermissionDenied: the token is a data key (``wrong_credential_type``).
    """

    def __init__(
        self,
        *,
        base_url: str = config.DEFAULT_BASE_URL,
        project: str | None = None,
        sdk_token: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> None:
        self._project = config.setting(project, "", {})
        self._credential = Credential(config.check_sdk_token(config.setting(sdk_token, "", {})))
        self._transport = Transport(
            base_url=config.base_url(base_url, {}),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    @classmethod
    def from_env(
        cls,
        *,
        base_url: str | None = None,
        project: str | None = None,
        sdk_token: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> Self:
        """Make a client from ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and ``INFERENCEKEY_SDK_TOKEN``.

        An explicit argument beats its variable; a blank variable counts as absent. The arguments are the constructor's.
        """
        return cls(
            base_url=config.base_url(base_url),
            project=config.setting(project, config.PROJECT_VARIABLE),
            sdk_token=config.setting(sdk_token, config.SDK_TOKEN_VARIABLE),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, project={self.project!r})"

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._transport.base_url

    @property
    def project(self) -> str | None:
        """The project, where neither the call nor the spec names one."""
        return self._project

    async def ensure(
        self,
        spec: WorkloadSpec,
        *,
        on_drift: OnDrift | str = OnDrift.RECONCILE,
        project: str | None = None,
    ) -> EndpointRef:
        """Make the platform match the spec: create the workload, update what differs, or do nothing.

        Safe to call any number of times, from any number of callers at once: they converge on exactly one workload.

        Args:
            spec: the workload that should exist; its slug is the idempotency key.
            on_drift: what to do about a live workload that differs; see :class:`OnDrift`.
            project: the project, instead of the client's; a spec that names a different one is an error.

        Returns:
            The handle to call it by. Its ``.plan`` says what was done, or under ``dry_run`` would be.

        Raises:
            ConfigurationError: no project, two different ones, or a credential in the spec.
            ValidationError: the spec or *on_drift* is wrong.
            DriftError: it drifted, under ``fail``; ``.plan`` says how.
            InferenceKeyError: what the platform answered, or that it did not.
        """
        mode = member(OnDrift, on_drift, "on_drift")
        check_spec(spec)
        where = resolve_project(project, spec.project, self._project)
        machine = Converge(spec, mode, where)
        key = idempotency_key()
        step = machine.start()
        while not isinstance(step, Finish):
            step = await self._carry_out(machine, step, spec, where, key)
        if step.warn:
            await warn(_drift(step.plan), WorkloadDriftWarning)
        if step.leftovers:
            await warn(_leftovers(step.slug, step.leftovers), WorkloadLeftoverWarning)
        return EndpointRef(spec.project or where, step.slug, step.plan)

    async def plan(self, spec: WorkloadSpec, *, project: str | None = None) -> Plan:
        """Return what ``ensure`` would do, and change nothing.

        Args:
            spec: the workload that should exist.
            project: the project, instead of the client's.

        Raises:
            InferenceKeyError: as for ``ensure``.
        """
        slug = check_spec(spec)
        where = resolve_project(project, spec.project, self._project)
        return make_plan(spec, await self._find(where, slug), project=where)

    async def list_workloads(self, *, project: str | None = None) -> list[Workload]:
        """Return the project's workloads.

        Args:
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: what the platform answered.
        """
        where = resolve_project(project, None, self._project)
        return await self._list(where, lambda raws: [wire.workload(raw) for raw in raws])

    async def get_workload(self, slug: str, *, project: str | None = None) -> Workload:
        """Return one workload.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            NotFoundError: the project has none with this slug.
            InferenceKeyError: as for ``list_workloads``.
        """
        where = resolve_project(project, None, self._project)
        canonical = checked_slug(slug)
        found = await self._find(where, canonical)
        if found is None:
            raise NotFoundError(f"not found: project {where!r} has no workload {canonical!r}")
        return found

    async def delete(self, slug: str, *, project: str | None = None) -> bool:
        """Delete one workload, and what the platform had provisioned for it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Returns:
            Whether it existed.

        Raises:
            InferenceKeyError: as for ``list_workloads``.
        """
        where = resolve_project(project, None, self._project)
        found = await self._find(where, checked_slug(slug))
        if found is None:
            return False
        await self._discard(found.id)
        return True

    def readiness_events(self, slug: str, *, project: str | None = None) -> AsyncReadinessStream:
        """Follow a workload: its current phase at once, then every step, until ``ready`` or ``error``.

        Dropped connections are made again. ``async for`` reads it; ``async with`` also closes it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: on opening, what the platform answered.
        """
        where = resolve_project(project, None, self._project)
        path = f"{_workloads(where)}/{checked_slug(slug)}/readiness-events"
        timeouts = for_stream(None, self._transport.timeout)

        async def connect() -> ByteStream:
            return await self._transport.stream("GET", path, self._credential, timeouts, retry=False)

        return AsyncReadinessStream(connect, self._credential.scrub)

    async def wait_until_ready(
        self,
        slug: str,
        *,
        project: str | None = None,
        timeout: float | None = 600.0,
        on_progress: Callable[[ReadinessEvent], object] | None = None,
        silent: bool = False,
    ) -> ReadinessEvent:
        """Wait until a workload is ready, with live progress on a terminal and plain lines elsewhere (on stderr).

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            timeout: seconds; a hard ceiling, events or not. ``None`` for no limit.
            on_progress: called with every event, in the caller's task or thread, instead of the display.
            silent: show nothing.

        Returns:
            The last event, of phase ``ready``.

        Raises:
            ReadinessError: the workload reached ``error``; ``.events`` has what was seen.
            ReadinessTimeout: it was not ready in time (also a ``TimeoutError``).
            InferenceKeyError: what the platform answered.
        """
        seconds = for_unary(timeout, None).total if timeout is not None else None
        canonical = checked_slug(slug)
        stream = self.readiness_events(slug, project=project)
        printer = None if silent or on_progress is not None else ReadinessPrinter(canonical)
        seen: list[ReadinessEvent] = []
        began = time.monotonic()
        try:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as ticking:
                    if printer is not None:
                        ticking.start_soon(_tick, printer, stream, began)
                    async for event in stream:
                        seen.append(event)
                        if printer is not None:
                            printer.show(event, time.monotonic() - began)
                        if on_progress is not None:
                            await run_callback(on_progress, event)
                    ticking.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # The ticker never raises: the group is one error of ours with a wrapping nobody asked for.
            raise group.exceptions[0] from None
        finally:
            await stream.aclose()
            if printer is not None:
                printer.end()
        last = seen[-1] if seen else None
        if last is not None and last.phase is Phase.READY:
            return last
        if last is not None and last.phase is Phase.ERROR:
            raise ReadinessError(
                f"api error: workload {canonical!r} failed to become ready: {last.message}", events=seen
            )
        state = "nothing was heard of it" if last is None else f"it is {last.phase}: {last.message}"
        if stream.trouble is not None:
            state += f"; the last connection failed: {stream.trouble}"
        raise ReadinessTimeout(
            f"api error: workload {canonical!r} was not ready within {seconds:g} s ({state})", events=seen
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _carry_out(self, machine: Converge, step: Step, spec: WorkloadSpec, where: str, key: str) -> Step:
        match step:
            case Read(delay):
                if delay:
                    await anyio.sleep(delay)
                slug = check_spec(spec)
                found, slugs = await self._list(
                    where, lambda raws: (wire.find_workload(raws, slug), wire.slugs_of(raws))
                )
                return machine.read(found, slugs)
            case Create(body, generation):
                try:
                    stored = await self._write("POST", _workloads(where), body, key=f"{key}-{generation}", once=True)
                except (TransportError, ServerError) as error:
                    return machine.unknown(error)
                except ApiError as error:
                    if error.status == 409:
                        return machine.conflict(error)
                    if error.status == 408:
                        return machine.unknown(error)
                    raise
                return machine.created(stored)
            case Update(id, body):
                try:
                    stored = await self._write("PATCH", _workload(id), body, key=None, once=False)
                except NotFoundError:
                    return machine.gone()
                except (TransportError, ServerError) as error:
                    return machine.unknown(error)
                return machine.updated(stored)
            case Discard(id, slug):
                try:
                    await self._discard(id)
                except InferenceKeyError as error:
                    error.args = (
                        f"{error} (while deleting {slug!r}, a duplicate that this call had made; it may remain)",
                    )
                    raise
                return machine.discarded()
            case Fail(error):
                raise error
            case Finish():
                return step

    async def _find(self, project: str, slug: str) -> Workload | None:
        return await self._list(project, lambda raws: wire.find_workload(raws, slug))

    async def _list(self, project: str, take: Callable[[list[Any]], T]) -> T:
        answer = await self._request("GET", _workloads(project))
        with self._reading(answer):
            return take(wire.workload_list(loads(answer.body, "the list of workloads")))

    async def _write(self, method: str, path: str, body: Mapping[str, Any], *, key: str | None, once: bool) -> Workload:
        answer = await self._request(method, path, body=dumps(body, "the spec"), key=key, once=once)
        with self._reading(answer):
            return wire.workload(loads(answer.body, "the workload"))

    @contextmanager
    def _reading(self, answer: Answer) -> Generator[None]:
        try:
            yield
        except InferenceKeyError as error:
            answer.tell(error)
            self._credential.scrub(error)
            raise

    async def _discard(self, id: str) -> None:
        try:
            await self._request("DELETE", _workload(id))
        except NotFoundError:
            pass  # gone is what was wanted

    async def _request(
        self, method: str, path: str, *, body: bytes | None = None, key: str | None = None, once: bool = False
    ) -> Answer:
        timeouts = for_unary(None, self._transport.timeout)
        return await self._transport.request(method, path, self._credential, timeouts, body=body, key=key, once=once)


def _workloads(project: str) -> str:
    return f"/api/projects/{quote(project, safe='')}/workloads"


def _workload(id: str) -> str:
    return f"/api/workloads/{quote(id, safe='')}"


def _drift(plan: Plan) -> str:
    fields = ", ".join(change.field for change in plan.changes)
    return f"workload {plan.workload_slug!r} drifted from spec: {fields}"


def _leftovers(slug: str, leftovers: tuple[str, ...]) -> str:
    return (
        f"the answer to creating workload {slug!r} was lost; since then {', '.join(leftovers)} appeared beside it, "
        "perhaps a duplicate of this call's making. Delete it if nobody else made it."
    )


async def _tick(printer: ReadinessPrinter, stream: AsyncReadinessStream, began: float) -> None:
    while True:
        await anyio.sleep(0.5)
        elapsed = time.monotonic() - began
        if stream.trouble is not None:
            printer.trouble(str(stream.trouble), elapsed)
        else:
            printer.tick(elapsed)
