# Generated from inferencekey/deploy/_async.py by inferencekey/_codegen/generate.py.
"""Brings a platform to a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable

from inferencekey._bridge import run
from inferencekey._sync.management import ManagementClient
from inferencekey.deploy._async import AsyncDeployment
from inferencekey.deploy.plan import ManifestPlan
from inferencekey.deploy.report import ApplyProgress, Report
from inferencekey.manifest import Manifest
from inferencekey.models import OnDrift

__all__ = ["Deployment"]


class Deployment:
    """Brings a platform to a manifest, as ``inferencekey plan``, ``apply`` and ``destroy`` do.

    It prints nothing and asks nothing. It does not close the client.

    Args:
        mgmt: the client of the platform.
    """

    _async: AsyncDeployment

    def __init__(self, mgmt: ManagementClient) -> None:
        self._async = AsyncDeployment(mgmt._async)

    def plan(
        self,
        manifest: Manifest | str | os.PathLike[str],
        *,
        project: str | None = None,
        prune: bool = False,
    ) -> ManifestPlan:
        """Return what an apply of the manifest would do, and change nothing.

        The workloads of each project are listed once.

        Args:
            manifest: what ``load_manifest`` returned, or the path of a manifest.
            project: the project of the workloads that name none, instead of the client's; a
                manifest that names another one is an error.
            prune: remove, too, what earlier applies of this manifest created and it no longer
                declares.

        Raises:
            ManifestError: the manifest has mistakes; the text lists all of them.
            ConfigurationError: a workload has no project or two different ones, the lock file is
                broken, or another manifest beside this one has the same lock file.
            InferenceKeyError: what the platform answered, or that it did not.
        """
        return run(self._async.plan, manifest, project=project, prune=prune)

    def plan_destroy(
        self, manifest: Manifest | str | os.PathLike[str], *, project: str | None = None
    ) -> ManifestPlan:
        """Return the plan that removes everything that applies of the manifest created.

        Nothing is changed before that plan is applied. Workloads that existed before, or that
        another caller created anew, are left alone: see ``ManifestPlan.left_alone``.

        Args:
            manifest: what ``load_manifest`` returned, or the path of a manifest.
            project: as for ``plan``.

        Raises:
            InferenceKeyError: as for ``plan``.
        """
        return run(self._async.plan_destroy, manifest, project=project)

    def check(self, plan: ManifestPlan) -> None:
        """Check that everything is as it was when the plan was made, and change nothing.

        ``apply`` checks each workload as it comes to it, and carries out the others. This checks
        the whole plan before, for instance one that ``read_plan`` returned.

        Args:
            plan: the plan.

        Raises:
            DriftError: something is not; the text says what.
            ConfigurationError: the plan was made for another platform.
            InferenceKeyError: what the platform answered, or that it did not.
        """
        run(self._async.check, plan)

    def apply(
        self,
        plan: ManifestPlan,
        *,
        on_drift: OnDrift | str = OnDrift.RECONCILE,
        allow_empty: bool = False,
        max_concurrency: int = 8,
        on_progress: Callable[[ApplyProgress], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Report:
        """Carry out exactly what a plan says.

        The workloads of each project are listed once. A workload that is no longer as it was when
        the plan was made is not touched and counts as failed, unless it is by now what was planned.
        One that fails does not stop the others. Removals come last, and only if everything before
        them succeeded. The lock file is written right after each create and each removal. To go on
        after a failure, plan and apply again.

        Cancelling it cuts off what is under way; ``should_stop`` lets that come to its end.

        Args:
            plan: what ``plan``, ``plan_destroy`` or ``read_plan`` returned.
            on_drift: what to do about live workloads that differ from the manifest: update them;
                under ``fail`` change nothing at all; under ``warn`` and ``ignore`` leave them as
                they are; under ``dry_run`` change nothing and report everything as ``not_done``.
            allow_empty: carry out the removals of a manifest that declares no workload at all.
            max_concurrency: how many workloads are worked on at a time.
            on_progress: called with every step that begins or ends, in the calling thread.
                If it raises, no further step begins, and its error is raised in the end.
            should_stop: called before each step, in the event loop's thread; after it returned
                ``True`` no step begins.

        Returns:
            What was done with each workload.

        Raises:
            DeploymentError: not everything was done; ``.report`` says what and why.
            DriftError: live workloads differ, under ``fail``. Nothing was changed.
            ConfigurationError: the plan was made for another platform, or it would remove
                everything that an empty manifest ever made.
            ValidationError: an argument is wrong.
            OSError: the lock file cannot be written. Nothing was changed.
        """
        return run(
            self._async.apply,
            plan,
            on_drift=on_drift,
            allow_empty=allow_empty,
            max_concurrency=max_concurrency,
            on_progress=on_progress,
            should_stop=should_stop,
        )
