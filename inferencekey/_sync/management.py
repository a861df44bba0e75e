# Generated from inferencekey/_async/management.py by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/_async/management.py``."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from inferencekey import config
from inferencekey._async.management import AsyncManagementClient
from inferencekey._bridge import run
from inferencekey._http.sessions import SessionFactory
from inferencekey._sync.readiness import ReadinessStream
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
)

__all__ = ["ManagementClient"]


class ManagementClient:
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

    _async: AsyncManagementClient

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
        self._async = AsyncManagementClient(
            base_url=base_url,
            project=project,
            sdk_token=sdk_token,
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
        """Make a client from the environment.

        The variables are ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and
        ``INFERENCEKEY_SDK_TOKEN``.

        The arguments are those of the constructor. An explicit argument is used instead of its
        variable. A blank variable counts as not set.
        """
        made = cls.__new__(cls)
        made._async = AsyncManagementClient.from_env(
            base_url=base_url,
            project=project,
            sdk_token=sdk_token,
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )
        return made

    def ensure(
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
        return run(self._async.ensure, spec, on_drift=on_drift, project=project)

    def ensure_all(
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
        return run(
            self._async.ensure_all,
            specs,
            on_drift=on_drift,
            project=project,
            max_concurrency=max_concurrency,
        )

    def plan(self, spec: WorkloadSpec, *, project: str | None = None) -> Plan:
        """Return what ``ensure`` would do, and change nothing.

        ``str(plan)`` is a readable diff.

        Args:
            spec: the workload that should exist.
            project: the project, instead of the client's.

        Raises:
            InferenceKeyError: as for ``ensure``.
        """
        return run(self._async.plan, spec, project=project)

    def apply(self, plan: Plan) -> EndpointRef:
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
        return run(self._async.apply, plan)

    def apply_all(self, plans: Iterable[Plan], *, max_concurrency: int = 8) -> list[EndpointRef]:
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
        return run(self._async.apply_all, plans, max_concurrency=max_concurrency)

    def list_workloads(self, *, project: str | None = None) -> list[Workload]:
        """Return the project's workloads.

        Args:
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: the platform refused the request, or there was no response.
        """
        return run(self._async.list_workloads, project=project)

    def get_workload(self, slug: str, *, project: str | None = None) -> Workload:
        """Return one workload.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            NotFoundError: the project has no workload with this slug.
            InferenceKeyError: as for ``list_workloads``.
        """
        return run(self._async.get_workload, slug, project=project)

    def delete(self, slug: str, *, project: str | None = None, id: str | None = None) -> bool:
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
        return run(self._async.delete, slug, project=project, id=id)

    def readiness_events(self, slug: str, *, project: str | None = None) -> ReadinessStream:
        """Follow a workload until it is ``ready`` or has an ``error``.

        The first event is the current phase; every further step is an event. A dropped connection
        is made again. ``for`` reads the stream. ``with`` also closes it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: on opening, the platform refused the request.
        """
        return ReadinessStream(self._async.readiness_events(slug, project=project))

    def wait_until_ready(
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
            on_progress: called with every event, in the calling thread, instead of the display.
            silent: show nothing.

        Returns:
            The last event, of phase ``ready``.

        Raises:
            ReadinessError: the workload reached ``error``. ``.events`` has the events, ``.log`` the
                last lines of its engine's log if the platform has logs.
            ReadinessTimeout: the workload was not ready in time. Also a ``TimeoutError``.
            InferenceKeyError: the platform refused the request.
        """
        return run(
            self._async.wait_until_ready,
            slug,
            project=project,
            timeout=timeout,
            on_progress=on_progress,
            silent=silent,
        )

    def wait_all(
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
                the calling thread, instead of the display.
            silent: show nothing.

        Returns:
            The last events, of phase ``ready``, in the order of the slugs.

        Raises:
            WaitAllError: some workloads are not ready. ``.results`` has the last events of the
                others. ``.exceptions`` has the error that ``wait_until_ready`` would have raised
                for each that is not ready, with its ``.workload``.
            InferenceKeyError: as for ``readiness_events``.
        """
        return run(
            self._async.wait_all,
            slugs,
            project=project,
            timeout=timeout,
            on_progress=on_progress,
            silent=silent,
        )

    def logs(
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
        return run(self._async.logs, slug, project=project, lines=lines, after=after)

    def __repr__(self) -> str:
        return repr(self._async).replace("Async", "", 1)

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._async.base_url

    @property
    def project(self) -> str | None:
        """The project of calls that name none."""
        return self._async.project

    def close(self) -> None:
        """Close the connections. Open streams end."""
        run(self._async.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
