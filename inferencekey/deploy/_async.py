"""Plans and applies a manifest on a platform."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

import attrs

from inferencekey._async.callbacks import warn
from inferencekey._async.management import AsyncManagementClient
from inferencekey._async.snapshot import Snapshot
from inferencekey.deploy.apply import ApplyRun
from inferencekey.deploy.lock_file import check_lock_is_not_shared
from inferencekey.deploy.plan import LeftAlone, ManifestPlan, Removal, drift_text
from inferencekey.deploy.report import ApplyProgress, Report
from inferencekey.errors import ConfigurationError, DriftError, WorkloadDriftWarning
from inferencekey.manifest import Lock, LockEntry, Manifest, load_manifest
from inferencekey.models import OnDrift, Workload, member

__all__ = ["AsyncDeployment"]


class AsyncDeployment:
    """Plans and applies manifests: what ``inferencekey plan``, ``apply`` and ``destroy`` run.

    It prints nothing and asks nothing. It does not close the client.

    Args:
        mgmt: the client of the platform.
    """

    def __init__(self, mgmt: AsyncManagementClient) -> None:
        self._mgmt = mgmt

    async def plan(
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
        loaded = _loaded(manifest)
        lock = Lock.read(loaded.lock_path)
        targets = self._mgmt._targets(loaded.specs, project)
        declared: dict[str, set[str]] = {}
        default = self._mgmt._default_project(project, loaded.project)
        if default is not None:
            # Also if no workload is declared any more, since earlier ones may have to be removed.
            declared[default] = set()
        for target in targets:
            declared.setdefault(target.project, set()).add(target.slug)
        live = await self._listed(declared)
        warnings = [str(problem) for problem in loaded.warnings]
        for target in targets:
            warnings += live.warnings(target.spec, target.slug, target.project)
        records = _sort_records(lock, self._mgmt.base_url, live, declared)
        return ManifestPlan(
            base_url=self._mgmt.base_url,
            manifest_path=loaded.path,
            lock_path=loaded.lock_path,
            plans=tuple(live.plan(one.spec, one.slug, one.project) for one in targets),
            removals=records.removals,
            prune=prune,
            left_alone=records.left_alone,
            stale=records.stale,
            warnings=tuple(warnings),
        )

    async def plan_destroy(
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
        loaded = _loaded(manifest)
        lock = Lock.read(loaded.lock_path)
        targets = self._mgmt._targets(loaded.specs, project)
        default = self._mgmt._default_project(project, loaded.project)
        projects = {target.project: set[str]() for target in targets}
        if default is not None:
            projects.setdefault(default, set())
        live = await self._listed(projects)
        # Nothing counts as declared, so that every recorded workload is removed.
        records = _sort_records(lock, self._mgmt.base_url, live, projects)
        mentioned = {(one.project, one.slug) for one in records.removals}
        mentioned |= {(one.project, one.slug) for one in records.left_alone}
        not_created = tuple(
            LeftAlone(target.project, target.slug, "no apply of this manifest created it")
            for target in targets
            if (target.project, target.slug) not in mentioned
            and live.find(target.project, target.slug) is not None
        )
        return ManifestPlan(
            base_url=self._mgmt.base_url,
            manifest_path=loaded.path,
            lock_path=loaded.lock_path,
            plans=(),
            removals=records.removals,
            prune=True,
            destroy=True,
            left_alone=(*records.left_alone, *not_created),
            stale=records.stale,
        )

    async def check(self, plan: ManifestPlan) -> None:
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
        self._check_platform(plan)
        removals = plan.removals if plan.prune else ()
        live = await self._listed(
            (*(one.project_slug for one in plan.plans), *(one.project for one in removals))
        )
        moved = [error for one in plan.plans if (error := live.moved(one)) is not None]
        if len(moved) == 1:
            raise moved[0]
        reasons = [error.detail.removesuffix(" Plan again.") for error in moved]
        lock = Lock.read(plan.lock_path)
        for removal in removals:
            reason = _removal_problem(removal, plan, lock, live)
            if reason is not None:
                reasons.append(f"{removal.slug!r} is to be removed, but {reason}.")
        if reasons:
            raise DriftError.of(
                f"{' '.join(reasons)} Plan again.", prefix="workloads drifted from plan"
            )

    async def apply(
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
            on_progress: called when a step begins and when it ends, in the caller's task.
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
        mode = member(OnDrift, on_drift, "on_drift")
        self._check_platform(plan)
        if plan.removes_everything and not allow_empty:
            raise ConfigurationError.of(
                f"{plan.manifest_path} declares no workload, so prune would remove every workload "
                "that was created from it. To do that, call apply(plan_destroy(manifest)), or pass "
                "allow_empty=True. Nothing was changed."
            )
        resolved = plan.resolve_drift(mode)
        if mode is OnDrift.DRY_RUN:
            return Report.from_progress(resolved, ())
        if mode is OnDrift.WARN:
            for drifted in resolved.drifted:
                await warn(
                    f"workload drifted from spec, left as it is: {drift_text(drifted)}",
                    WorkloadDriftWarning,
                )
        return await ApplyRun(self._mgmt, resolved, max_concurrency, on_progress, should_stop).run()

    def _check_platform(self, plan: ManifestPlan) -> None:
        if plan.base_url != self._mgmt.base_url:
            raise ConfigurationError.of(
                f"the plan was made for {plan.base_url}, but the client's platform is "
                f"{self._mgmt.base_url}; set INFERENCEKEY_BASE_URL or pass base_url="
            )

    async def _listed(self, projects: Iterable[str]) -> Snapshot:
        live = await self._mgmt._snapshot(projects)
        live.check()
        return live


def _removal_problem(
    removal: Removal, plan: ManifestPlan, lock: Lock, live: Snapshot
) -> str | None:
    """Return why the workload must not be removed any more; ``None`` if it still may."""
    workload = live.find(removal.project, removal.slug)
    if workload is None or workload.id != removal.id:
        return "does not exist or has another id now"
    if lock.ids(plan.base_url, removal.project).get(removal.slug) != removal.id:
        return f"is not recorded in {plan.lock_path}"
    return None


def _loaded(manifest: Manifest | str | os.PathLike[str]) -> Manifest:
    if not isinstance(manifest, Manifest):
        manifest = load_manifest(manifest)
    check_lock_is_not_shared(manifest)
    return manifest


@attrs.frozen
class _Records:
    removals: tuple[Removal, ...]
    left_alone: tuple[LeftAlone, ...]
    stale: tuple[LockEntry, ...]


def _sort_records(
    lock: Lock, base_url: str, live: Snapshot, declared: Mapping[str, set[str]]
) -> _Records:
    """Sort what the lock file records on this platform.

    Args:
        lock: the lock file.
        base_url: the platform.
        live: the workloads of the manifest's projects.
        declared: the slugs that the manifest declares, by project; they are not removed.
    """
    workloads = {project: _by_slug(live.workloads(project)) for project in declared}
    removals = tuple(
        Removal(project, workload.slug, workload.id)
        for project, by_slug in workloads.items()
        for workload in lock.prunable(base_url, project, by_slug.values(), declared[project])
    )
    left_alone: list[LeftAlone] = []
    stale: list[LockEntry] = []
    for entry in sorted(entry for entry in lock.entries if entry.base_url == base_url):
        if entry.project not in workloads:
            reason = "this run does not use its project"
            left_alone.append(LeftAlone(entry.project, entry.slug, reason))
            continue
        found = workloads[entry.project].get(entry.slug)
        if found is not None and found.id == entry.id:
            continue
        stale.append(entry)
        if found is not None and entry.slug not in declared[entry.project]:
            reason = "it has another id than the recorded workload"
            left_alone.append(LeftAlone(entry.project, entry.slug, reason))
    return _Records(removals, tuple(left_alone), tuple(stale))


def _by_slug(workloads: Iterable[Workload]) -> dict[str, Workload]:
    found: dict[str, Workload] = {}
    for workload in workloads:
        # A server may list two of one slug; everywhere else the first one counts, too.
        found.setdefault(workload.slug, workload)
    return found
