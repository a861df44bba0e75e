"""The client of the control plane, which provisions workloads."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Self, TypeVar

from inferencekey import config
from inferencekey._async.bulk import run_each
from inferencekey._async.callbacks import run_callback, warn
from inferencekey._async.client import BaseClient
from inferencekey._async.control_api import ControlApi
from inferencekey._async.progress import ReadinessBoard
from inferencekey._async.readiness import AsyncReadinessStream
from inferencekey._async.snapshot import Snapshot
from inferencekey._async.waiting import Watch, wait
from inferencekey._core.control.bulk import (
    Target,
    apply_all_error,
    check_all,
    check_concurrency,
    check_plans,
    check_slugs,
    ensure_all_error,
    wait_all_error,
)
from inferencekey._core.control.converge import Apply, Converge, Finish
from inferencekey._core.control.plans import check_plan, make_plan, plan_warnings
from inferencekey._core.control.readiness import check_log_range
from inferencekey._core.control.spec_warnings import spec_warnings
from inferencekey._core.control.specs import check_spec, resolve_project
from inferencekey._core.deadlines import for_unary
from inferencekey._core.slugs import checked_slug
from inferencekey._http.credential import Credential
from inferencekey._http.notices.log import logger
from inferencekey._http.sessions import SessionFactory
from inferencekey.errors import (
    ApiError,
    ConfigurationError,
    DriftError,
    NotFoundError,
    WorkloadDriftWarning,
    WorkloadLeftoverWarning,
    WorkloadSpecWarning,
)
from inferencekey.models import (
    EndpointRef,
    EngineLog,
    OnDrift,
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


class AsyncManagementClient(BaseClient):
    """Provisions workloads with an ``ik_sdk_`` token. It does not call them.

    Args:
        base_url: the platform's URL, ``https://api.inferencekey.com`` by default.
        project: the project of calls and specs that name none.
        sdk_token: the control token.
        timeout: deadlines: a :class:`Timeouts`, or the seconds that each request may take in all.
        retry: when a failed request is sent again; ``None`` for never.
        headers: sent with every request.
        proxy: the URL of an http proxy. The default is the proxy of the environment; ``""`` is for
            no proxy. Requests to loopback addresses never go through a proxy.
        ssl: an SSL context with a custom CA or a client certificate. ``True`` trusts the CAs of the
            system; ``False`` verifies nothing.
        session_factory: makes the aiohttp sessions, one for each event loop. The factory then
            decides about TLS, and *ssl* has no effect.

    Raises:
        ConfigurationError: there is no token, it is not an ``ik_sdk_`` token, or *base_url* is not
            a base URL.
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
        credential = Credential(config.check_sdk_token(config.setting(sdk_token, "", {})))
        super().__init__(
            base_url=base_url,
            project=project,
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )
        self._control = ControlApi(self._transport, credential)

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
        """Make a client from the environment.

        The variables are ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and
        ``INFERENCEKEY_SDK_TOKEN``.

        The arguments are those of the constructor. An explicit argument is used instead of its
        variable. A blank variable counts as not set.
        """
        return cls._from_env(
            base_url=base_url,
            project=project,
            sdk_token=config.setting(sdk_token, config.SDK_TOKEN_VARIABLE),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    async def ensure(
        self,
        spec: WorkloadSpec,
        *,
        on_drift: OnDrift | str = OnDrift.RECONCILE,
        project: str | None = None,
    ) -> EndpointRef:
        """Make the platform match the spec: create the workload, update it, or do nothing.

        It can be called any number of times, also by several callers at once. All of them end with
        the same one workload.

        Args:
            spec: the workload that should exist. Its slug identifies it.
            on_drift: what to do about a live workload that differs; see :class:`OnDrift`.
            project: the project, instead of the client's. A spec that names a different one is an
                error.

        Returns:
            The handle to call the workload with. Its ``.plan`` is what was done, or what would be
            done under ``dry_run``.

        Raises:
            ConfigurationError: there is no project, there are two different ones, or the spec holds
                a credential.
            ValidationError: the spec or *on_drift* is wrong.
            DriftError: the live workload differs, under ``fail``. ``.plan`` has the differences.
            InferenceKeyError: the platform refused a request, or there was no response.
        """
        mode = member(OnDrift, on_drift, "on_drift")
        check_spec(spec)
        project = resolve_project(project, spec.project, self._project)
        await self._warn_of(spec)
        return await self._finish(
            project, await self._control.converge(Converge(spec, mode, project), project)
        )

    async def ensure_all(
        self,
        specs: Iterable[WorkloadSpec],
        *,
        on_drift: OnDrift | str = OnDrift.RECONCILE,
        project: str | None = None,
        max_concurrency: int = 8,
    ) -> list[EndpointRef]:
        """Ensure many workloads at once, each as ``ensure`` does.

        A workload that fails does not stop the others. Every spec is checked before anything is
        sent. The workloads of each project are listed once for all its specs.

        Args:
            specs: the workloads that should exist. No two may have the same slug in one project.
            on_drift: what to do about live workloads that differ; see :class:`OnDrift`.
            project: the project, instead of the client's. A spec that names a different one is an
                error.
            max_concurrency: how many workloads are worked on at the same time.

        Returns:
            The handles, in the order of the specs, each with its ``.plan``.

        Raises:
            ConfigurationError, ValidationError: a spec or an argument is wrong. The message lists
                every mistake. Nothing was sent.
            EnsureAllError: some workloads failed. ``.results`` has the handles of the others,
                ``.exceptions`` the error of each that failed, with its ``.workload``.
            InferenceKeyError: all specs are of one project, and its workloads could not be listed.
                Nothing was changed.
        """
        mode = member(OnDrift, on_drift, "on_drift")
        max_concurrency = check_concurrency(max_concurrency)
        targets = check_all(specs, project, self._project)
        for target in targets:
            await self._warn_of(target.spec)

        async def ensure_one(target: Target, live: Snapshot) -> Finish:
            machine = Converge(target.spec, mode, target.project)
            return await live.converge(machine, target.project)

        projects = [target.project for target in targets]
        results, errors = await self._run_all(targets, projects, ensure_one, max_concurrency)
        failed = ensure_all_error(targets, errors, results)
        if failed is not None:
            raise failed
        return [ref for ref in results if ref is not None]

    async def plan(self, spec: WorkloadSpec, *, project: str | None = None) -> Plan:
        """Return what ``ensure`` would do, and change nothing.

        ``str(plan)`` is a readable diff.

        Args:
            spec: the workload that should exist.
            project: the project, instead of the client's.

        Raises:
            InferenceKeyError: as for ``ensure``.
        """
        slug = check_spec(spec)
        project = resolve_project(project, spec.project, self._project)
        await self._warn_of(spec)
        live = await self._control.find(project, slug)
        for text in plan_warnings(spec, live):
            await warn(text, WorkloadSpecWarning)
        return make_plan(spec, live, project=project)

    async def apply(self, plan: Plan) -> EndpointRef:
        """Carry out exactly what a plan contains, in the project of the plan.

        The plan is refused if the live workload has changed since the plan was made: a workload to
        be created exists, a workload to be updated was changed or deleted, or a workload that
        needed no change needs one now. A lost response does not count as such a change: ``apply``
        reads again and recognises its own change, as ``ensure`` does.

        Args:
            plan: what ``plan`` returned, possibly in another process (``Plan.from_dict``).

        Returns:
            The handle to call the workload with, with the plan as ``.plan``. After a create the
            plan has the ``workload_id``. It has none if the response was lost and the workload that
            exists now may come from another caller with the same spec.

        Raises:
            ValidationError: the plan cannot be applied.
            DriftError: the live workload has changed; the message names the changes. ``.plan`` is
                what a reconcile would change now, or ``None`` where that depends on the spec.
                Nothing was changed.
            InferenceKeyError: the platform refused a request, or there was no response.
        """
        check_plan(plan)
        project = plan.project_slug
        return await self._finish(project, await self._control.converge(Apply(plan), project))

    async def apply_all(
        self, plans: Iterable[Plan], *, max_concurrency: int = 8
    ) -> list[EndpointRef]:
        """Apply many plans at once, each as ``apply`` does.

        A plan that fails does not stop the others. Every plan is checked before anything is sent.
        The workloads of each project are listed once for all its plans.

        Args:
            plans: what ``plan`` returned. No two may be of the same workload.
            max_concurrency: how many workloads are worked on at the same time.

        Returns:
            The handles, in the order of the plans, as ``apply`` returns them.

        Raises:
            ValidationError: a plan or an argument is wrong. The message lists every mistake.
                Nothing was sent.
            ApplyAllError: some plans failed. ``.results`` has the handles of the others,
                ``.exceptions`` the error of each that failed, with its ``.workload``.
            InferenceKeyError: all plans are of one project, and its workloads could not be listed.
                Nothing was changed.
        """
        max_concurrency = check_concurrency(max_concurrency)
        checked = check_plans(plans)

        async def apply_one(plan: Plan, live: Snapshot) -> Finish:
            return await live.converge(Apply(plan), plan.project_slug)

        projects = [plan.project_slug for plan in checked]
        results, errors = await self._run_all(checked, projects, apply_one, max_concurrency)
        failed = apply_all_error(checked, errors, results)
        if failed is not None:
            raise failed
        return [ref for ref in results if ref is not None]

    async def list_workloads(self, *, project: str | None = None) -> list[Workload]:
        """Return the project's workloads.

        Args:
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: the platform refused the request, or there was no response.
        """
        project = resolve_project(project, None, self._project)
        return (await self._control.list(project)).all()

    async def get_workload(self, slug: str, *, project: str | None = None) -> Workload:
        """Return one workload.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            NotFoundError: the project has no workload with this slug.
            InferenceKeyError: as for ``list_workloads``.
        """
        project = resolve_project(project, None, self._project)
        canonical = checked_slug(slug)
        found = await self._control.find(project, canonical)
        if found is None:
            raise _no_workload(project, canonical)
        return found

    async def delete(self, slug: str, *, project: str | None = None, id: str | None = None) -> bool:
        """Delete one workload, and what the platform provisioned for it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            id: delete the workload only if it has this id. A workload that was deleted and created
                again since has another one.

        Returns:
            Whether the workload existed.

        Raises:
            DriftError: the workload with this slug has another id. Nothing was deleted.
            InferenceKeyError: as for ``list_workloads``.
        """
        project = resolve_project(project, None, self._project)
        canonical = checked_slug(slug)
        found = await self._control.find(project, canonical)
        if found is None:
            return False
        if id is not None and found.id != id:
            raise _other_id(canonical, id)
        await self._control.discard(found.id)
        return True

    def readiness_events(self, slug: str, *, project: str | None = None) -> AsyncReadinessStream:
        """Follow a workload until it is ``ready`` or has an ``error``.

        The first event is the current phase; every further step is an event. A dropped connection
        is made again. ``async for`` reads the stream. ``async with`` also closes it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: on opening, the platform refused the request.
        """
        project = resolve_project(project, None, self._project)
        return self._control.readiness(project, checked_slug(slug))

    async def wait_until_ready(
        self,
        slug: str,
        *,
        project: str | None = None,
        timeout: float | None = 600.0,
        on_progress: Callable[[ReadinessEvent], object] | None = None,
        silent: bool = False,
    ) -> ReadinessEvent:
        """Wait until a workload is ready, and show progress on stderr.

        On a terminal the progress is a live line; elsewhere each change is a line.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            timeout: the longest wait in seconds, whether events arrive or not. ``None`` for no
                limit.
            on_progress: called with every event, in the caller's task, instead of the display.
            silent: show nothing.

        Returns:
            The last event, of phase ``ready``.

        Raises:
            ReadinessError: the workload reached ``error``. ``.events`` has the events, ``.log`` the
                last lines of its engine's log if the platform has logs.
            ReadinessTimeout: the workload was not ready in time. Also a ``TimeoutError``.
            InferenceKeyError: the platform refused the request.
        """
        seconds = _ceiling(timeout)
        watch = self._watch(resolve_project(project, None, self._project), checked_slug(slug))

        async def report(_: Watch, event: ReadinessEvent) -> None:
            if on_progress is not None:
                await run_callback(on_progress, event)

        board = None if silent or on_progress is not None else ReadinessBoard([watch.slug])
        await wait([watch], seconds, board=board, on_event=report)
        return watch.result(seconds)

    async def wait_all(
        self,
        slugs: Iterable[str],
        *,
        project: str | None = None,
        timeout: float | None = 600.0,
        on_progress: Callable[[str, ReadinessEvent], object] | None = None,
        silent: bool = False,
    ) -> list[ReadinessEvent]:
        """Wait until many workloads are ready, all at the same time.

        A workload that fails does not stop the wait for the others.

        Args:
            slugs: their slugs, in any form.
            project: the project, instead of the client's.
            timeout: the longest wait for all of them in seconds, whether events arrive or not.
                ``None`` for no limit.
            on_progress: called with the canonical slug and every event, one event at a time, in
                the caller's task, instead of the display.
            silent: show nothing.

        Returns:
            The last events, of phase ``ready``, in the order of the slugs.

        Raises:
            WaitAllError: some workloads are not ready. ``.results`` has the last events of the
                others. ``.exceptions`` has the error that ``wait_until_ready`` would have raised
                for each that is not ready, with its ``.workload``.
            InferenceKeyError: as for ``readiness_events``.
        """
        seconds = _ceiling(timeout)
        project = resolve_project(project, None, self._project)
        canonical = check_slugs(slugs)
        watches = {slug: self._watch(project, slug) for slug in canonical}

        async def report(watch: Watch, event: ReadinessEvent) -> None:
            if on_progress is not None:
                await run_callback(on_progress, watch.slug, event)

        board = None if silent or on_progress is not None else ReadinessBoard(list(watches))
        await wait(list(watches.values()), seconds, board=board, on_event=report)
        results: dict[str, ReadinessEvent | None] = dict.fromkeys(watches)
        errors: dict[str, Exception | None] = dict.fromkeys(watches)
        for slug, watch in watches.items():
            try:
                results[slug] = watch.result(seconds)
            except Exception as error:
                errors[slug] = error
        every = [results[slug] for slug in canonical]
        failed = wait_all_error(errors, every)
        if failed is not None:
            raise failed
        return [event for event in every if event is not None]

    async def logs(
        self, slug: str, *, project: str | None = None, lines: int = 100, after: int | None = None
    ) -> EngineLog:
        """Return the end of the log of a workload's engine. The local platform has logs.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            lines: the largest number of lines, up to 1000.
            after: the ``.next`` of an earlier log; only what was written since then is returned.

        Raises:
            NotFoundError: the project has no such workload, or the platform has no logs. The
                message names which of the two.
            ValidationError: *lines* or *after* is wrong.
            InferenceKeyError: as for ``list_workloads``.
        """
        project = resolve_project(project, None, self._project)
        canonical = checked_slug(slug)
        check_log_range(lines, after)
        try:
            return await self._control.log(project, canonical, lines, after)
        except ApiError as error:
            if error.status not in (404, 405, 501):
                raise
            refusal = error
        if await self._control.find(project, canonical) is None:
            raise _no_workload(project, canonical)
        raise NotFoundError.of(
            f"{self.base_url} has no log of workload {canonical!r}; the local platform has logs, "
            f"the hosted platform does not ({refusal})",
            status=refusal.status,
            request_id=refusal.request_id,
        )

    async def _run_all(
        self,
        items: Sequence[T],
        projects: Sequence[str],
        function: Callable[[T, Snapshot], Awaitable[Finish]],
        max_concurrency: int,
    ) -> tuple[list[EndpointRef | None], list[Exception | None]]:
        """Await *function* for every item; return the handle or the error of each.

        Args:
            items: specs or plans.
            projects: the project of each.
            function: carries out one of them; the snapshot replaces its first read.
            max_concurrency: how many workloads are worked on at the same time.

        Raises:
            InferenceKeyError: all are of one project, and it could not be listed.
        """
        live = await self._snapshot(projects, max_concurrency)
        if len(set(projects)) == 1:
            live.check()
        outcomes = await run_each(items, max_concurrency, lambda item: function(item, live))
        results: list[EndpointRef | None] = [None] * len(items)
        errors: list[Exception | None] = [None] * len(items)
        for number, outcome in enumerate(outcomes):
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                results[number] = await self._finish(projects[number], outcome)
            except Exception as error:  # also a warning that a filter turns into an error
                errors[number] = error
        return results, errors

    # `inferencekey.deploy` uses these: the steps of the public methods, with one list of each
    # project.

    def _targets(self, specs: Iterable[WorkloadSpec], project: str | None) -> list[Target]:
        return check_all(specs, project, self._project)

    def _default_project(self, call: str | None, manifest: str | None) -> str | None:
        """Return the project of a manifest's workloads that name none; ``None`` if there is none.

        Raises:
            ConfigurationError: the call's project and the manifest's differ.
        """
        try:
            return resolve_project(call, manifest, self._project)
        except ConfigurationError:
            if call is not None:
                raise
            return None

    async def _snapshot(self, projects: Iterable[str], max_concurrency: int = 8) -> Snapshot:
        return await Snapshot.take(self._control, projects, check_concurrency(max_concurrency))

    async def _apply(self, plan: Plan, live: Snapshot) -> EndpointRef:
        check_plan(plan)
        project = plan.project_slug
        return await self._finish(project, await live.converge(Apply(plan), project))

    async def _delete(self, project: str, slug: str, id: str, live: Snapshot) -> None:
        found = live.find(project, slug)
        if found is None:
            return
        if found.id != id:
            raise _other_id(slug, id)
        await self._control.discard(id)

    def _watch(self, project: str, slug: str) -> Watch:
        return Watch(
            slug,
            self._control.readiness(project, slug),
            lambda: self._control.last_lines(project, slug),
        )

    async def _warn_of(self, spec: WorkloadSpec) -> None:
        for text in spec_warnings(spec):
            await warn(text, WorkloadSpecWarning)

    async def _finish(self, project: str, step: Finish) -> EndpointRef:
        if step.warn:
            logger.warning("%s", _drift(step.plan))
            await warn(_drift(step.plan), WorkloadDriftWarning)
        for text in step.notes:
            await warn(text, WorkloadSpecWarning)
        if step.leftovers:
            await warn(_leftovers(step.slug, step.leftovers), WorkloadLeftoverWarning)
        return EndpointRef(project, step.slug, step.plan)


def _ceiling(timeout: float | None) -> float | None:
    return None if timeout is None else for_unary(timeout, None).total


def _other_id(slug: str, id: str) -> DriftError:
    return DriftError.of(
        f"workload {slug!r} no longer has the id {config.redact(id)!r}: it was deleted and created "
        "again. It was not deleted now."
    )


def _no_workload(project: str, slug: str) -> NotFoundError:
    return NotFoundError.of(f"project {project!r} has no workload {slug!r}")


def _drift(plan: Plan) -> str:
    fields = ", ".join(change.field for change in plan.changes)
    return f"workload {plan.workload_slug!r} drifted from spec: {fields}"


def _leftovers(slug: str, leftovers: tuple[str, ...]) -> str:
    return (
        f"the response to creating workload {slug!r} was lost, and {', '.join(leftovers)} appeared "
        "since then. This call may have created it as a duplicate. Delete it if no other caller "
        "created it."
    )
