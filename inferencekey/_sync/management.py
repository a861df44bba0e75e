# Generated from inferencekey/_async/management.py by inferencekey/_codegen/generate.py.
"""The control plane: provisioning workloads."""

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
        """Make a client from ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and ``INFERENCEKEY_SDK_TOKEN``.

        An explicit argument beats its variable; a blank variable counts as absent. The arguments are the constructor's.
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
        return run(self._async.ensure, spec, on_drift=on_drift, project=project)

    def ensure_all(
        self,
        specs: Iterable[WorkloadSpec],
        *,
        on_drift: OnDrift | str = OnDrift.RECONCILE,
        project: str | None = None,
        max_concurrency: int = 8,
    ) -> list[EndpointRef]:
        """Ensure many workloads at once. Each converges as with ``ensure``; one that fails does not stop the others.

        Every spec is checked before anything is sent. The workloads of each project are listed once for all its specs.

        Args:
            specs: the workloads that should exist; no two of one slug in one project.
            on_drift: what to do about live workloads that differ; see :class:`OnDrift`.
            project: the project, instead of the client's; a spec that names a different one is an error.
            max_concurrency: how many are under way at a time.

        Returns:
            The handles, in the order of the specs, each with its ``.plan``.

        Raises:
            ConfigurationError, ValidationError: some spec or argument is wrong; the text lists all that is. Nothing was sent.
            EnsureAllError: some failed; ``.results`` has the handles of the others, ``.exceptions`` says what went wrong with
                each (``.workload``).
            InferenceKeyError: the workloads of the one project could not be listed. Nothing was done.
        """
        return run(
            self._async.ensure_all,
            specs,
            on_drift=on_drift,
            project=project,
            max_concurrency=max_concurrency,
        )

    def plan(self, spec: WorkloadSpec, *, project: str | None = None) -> Plan:
        """Return what ``ensure`` would do, and change nothing. ``str(plan)`` is a readable diff.

        Args:
            spec: the workload that should exist.
            project: the project, instead of the client's.

        Raises:
            InferenceKeyError: as for ``ensure``.
        """
        return run(self._async.plan, spec, project=project)

    def apply(self, plan: Plan) -> EndpointRef:
        """Carry out exactly what a plan says, in the project that it says.

        The plan is refused if what is live has moved since it was made: a workload to be created exists, one to be updated
        was changed or is gone, or nothing was to be done and now something is. As an ``ensure``, it survives lost answers.

        Args:
            plan: what ``plan`` returned, maybe in another process (``Plan.from_dict``).

        Returns:
            The handle to call it by, with the plan as ``.plan``. After a create it has the ``workload_id``, unless the answer
            was lost and what is there now may as well be another caller's, who made the same.

        Raises:
            ValidationError: it is no plan that can be applied.
            DriftError: what is live has moved; the text says what, ``.plan`` what a reconcile would change now, where that can
                be told without the spec. Nothing was changed.
            InferenceKeyError: what the platform answered, or that it did not.
        """
        return run(self._async.apply, plan)

    def apply_all(self, plans: Iterable[Plan], *, max_concurrency: int = 8) -> list[EndpointRef]:
        """Apply many plans at once. Each is carried out as with ``apply``.

        A plan that fails does not stop the others. Every plan is checked before anything is sent.
        The workloads of each project are listed once for all its plans.

        Args:
            plans: what ``plan`` returned; no two of the same workload.
            max_concurrency: how many are under way at a time.

        Returns:
            The handles, in the order of the plans, as ``apply`` returns them.

        Raises:
            ValidationError: some plan or argument is wrong; the text lists all that is. Nothing was
                sent.
            ApplyAllError: some failed; ``.results`` has the handles of the others, ``.exceptions``
                the error of each that failed (``.workload``).
            InferenceKeyError: the workloads of the one project could not be listed. Nothing was
                changed.
        """
        return run(self._async.apply_all, plans, max_concurrency=max_concurrency)

    def list_workloads(self, *, project: str | None = None) -> list[Workload]:
        """Return the project's workloads.

        Args:
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: what the platform answered.
        """
        return run(self._async.list_workloads, project=project)

    def get_workload(self, slug: str, *, project: str | None = None) -> Workload:
        """Return one workload.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            NotFoundError: the project has none with this slug.
            InferenceKeyError: as for ``list_workloads``.
        """
        return run(self._async.get_workload, slug, project=project)

    def delete(self, slug: str, *, project: str | None = None, id: str | None = None) -> bool:
        """Delete one workload, and what the platform had provisioned for it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            id: delete it only if it is still the workload with this id, and not another that has taken its slug since.

        Returns:
            Whether it existed.

        Raises:
            DriftError: the workload with this slug has another id than *id*. Nothing was deleted.
            InferenceKeyError: as for ``list_workloads``.
        """
        return run(self._async.delete, slug, project=project, id=id)

    def readiness_events(self, slug: str, *, project: str | None = None) -> ReadinessStream:
        """Follow a workload: its current phase at once, then every step, until ``ready`` or ``error``.

        Dropped connections are made again. ``for`` reads it; ``with`` also closes it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Raises:
            ConfigurationError: there is no project.
            InferenceKeyError: on opening, what the platform answered.
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
        """Wait until a workload is ready, with live progress on a terminal and plain lines elsewhere (on stderr).

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            timeout: seconds; a hard ceiling, events or not. ``None`` for no limit.
            on_progress: called with every event, in the calling thread, instead of the display.
            silent: show nothing.

        Returns:
            The last event, of phase ``ready``.

        Raises:
            ReadinessError: the workload reached ``error``; ``.events`` has what was seen, ``.log`` the last lines of its
                engine's log where the platform offers them.
            ReadinessTimeout: it was not ready in time (also a ``TimeoutError``).
            InferenceKeyError: what the platform answered.
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
        """Wait until many workloads are ready, all at once. One that fails does not stop the wait for the others.

        Args:
            slugs: their slugs, in any form.
            project: the project, instead of the client's.
            timeout: seconds for all of them; a hard ceiling, events or not. ``None`` for no limit.
            on_progress: called with the canonical slug and every event, in the calling thread, one at a time,
                instead of the display.
            silent: show nothing.

        Returns:
            The last events, of phase ``ready``, in the order of the slugs.

        Raises:
            WaitAllError: some are not ready; ``.results`` has the last events of the others, ``.exceptions`` what
                ``wait_until_ready`` would have raised for each (``.workload``).
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
        """Return the end of what a workload's engine wrote. The local platform offers it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.
            lines: how many lines at most, up to 1000.
            after: only what was written since an earlier log (its ``.next``).

        Raises:
            NotFoundError: the project has no such workload, or the platform offers no logs; the text says which.
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
        """The project of calls that name no other."""
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
