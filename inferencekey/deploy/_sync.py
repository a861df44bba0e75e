# Generated from inferencekey/deploy/_async.py by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/deploy/_async.py``."""

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
    """Plans and applies manifests: what ``inferencekey plan``, ``apply`` and ``destroy`` run.

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
            prune: also remove what earlier applies of this manifest created and the manifest no
                longer declares.

        Raises:
            ManifestError: the manifest has mistakes; the text lists all of them.
            ConfigurationError: a workload has no project or two different ones, the lock file is
                broken, or another manifest beside this one has the same lock file.
            InferenceKeyError: a request failed.
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
        """Check that every workload is as it was when the plan was made, and change nothing.

        ``apply`` checks each workload by itself: one that has changed fails, the others are
        applied. Call this first to refuse the whole plan, such as one that ``read_plan`` returned.

        Args:
            plan: the plan.

        Raises:
            DriftError: something has changed; the text lists it.
            ConfigurationError: the plan was made for another platform.
            InferenceKeyError: a request failed.
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
        """Apply exactly this plan.

        The workloads of each project are listed once. A workload that has changed since the plan
        was made is not touched and counts as failed, unless another caller made exactly the planned
        change. A step that fails does not stop the others. Removals come last, and only if
        everything before them succeeded. The lock file is written right after each create and each
        removal. To go on after a failure, plan and apply again.

        Cancelling it also cancels the steps that have begun; ``should_stop`` lets them end.

        Args:
            plan: what ``plan``, ``plan_destroy`` or ``read_plan`` returned.
            on_drift: what to do about live workloads that differ from the manifest.
                ``reconcile`` updates them. ``fail`` raises an error and changes nothing at all.
                ``warn`` and ``ignore`` leave them as they are, and ``warn`` issues a warning.
                ``dry_run`` changes nothing, and the report has everything in ``not_done``.
            allow_empty: carry out the removals of a manifest that declares no workload at all.
            max_concurrency: the greatest number of workloads that are changed at a time.
            on_progress: called when a step begins and when it ends, in the calling thread.
                If it raises, no further step begins, and its error is raised at the end.
            should_stop: called before each step, in the event loop's thread, for instance
                ``threading.Event().is_set``. After it returned ``True``, no step begins.

        Returns:
            What was done with each workload.

        Raises:
            DeploymentError: not everything was done; ``.report`` has what was done, and the errors.
            DriftError: live workloads differ, under ``fail``. Nothing was changed.
            ConfigurationError: the plan was made for another platform, or it would remove
                everything because the manifest declares no workload.
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
