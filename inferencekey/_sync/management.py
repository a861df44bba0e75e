# Generated from inferencekey/_async/management.py by inferencekey/_codegen/generate.py: edit the source, then run it.
"""The control plane: provisioning workloads."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from inferencekey import config
from inferencekey._async.management import AsyncManagementClient
from inferencekey._bridge import run
from inferencekey._http.sessions import SessionFactory
from inferencekey._sync.readiness import ReadinessStream
from inferencekey.models import (
    EndpointRef,
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
        session_factory: makes the aiohttp sessions, on the SDK's own event loop; *ssl* is then the factory's business.

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

    def __repr__(self) -> str:
        return repr(self._async).replace("Async", "", 1)

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._async.base_url

    @property
    def project(self) -> str | None:
        """The project, where neither the call nor the spec names one."""
        return self._async.project

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

    def plan(self, spec: WorkloadSpec, *, project: str | None = None) -> Plan:
        """Return what ``ensure`` would do, and change nothing.

        Args:
            spec: the workload that should exist.
            project: the project, instead of the client's.

        Raises:
            InferenceKeyError: as for ``ensure``.
        """
        return run(self._async.plan, spec, project=project)

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

    def delete(self, slug: str, *, project: str | None = None) -> bool:
        """Delete one workload, and what the platform had provisioned for it.

        Args:
            slug: its slug, in any form.
            project: the project, instead of the client's.

        Returns:
            Whether it existed.

        Raises:
            InferenceKeyError: as for ``list_workloads``.
        """
        return run(self._async.delete, slug, project=project)

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
            ReadinessError: the workload reached ``error``; ``.events`` has what was seen.
            ReadinessTimeout: it was not ready in time (also a ``TimeoutError``).
            InferenceKeyError: what the platform answered.
        """
        return run(
            self._async.wait_until_ready, slug, project=project, timeout=timeout, on_progress=on_progress, silent=silent
        )

    def close(self) -> None:
        """Close the connections."""
        run(self._async.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
