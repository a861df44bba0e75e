"""One apply of a plan: the changes first, then the removals, with the lock file right after each.

What holds for every apply:

* a step that fails does not stop the others;
* nothing is removed unless everything before it succeeded;
* the lock file is written right after each create and each removal, with no ``await`` between, so
  that a cancellation cannot come between them;
* after several network errors in a row, after ``should_stop``, and after an error of
  ``on_progress``, no step begins; those that have begun are carried to their end.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from inferencekey._async.bulk import run_each
from inferencekey._async.callbacks import run_callback
from inferencekey._async.management import AsyncManagementClient
from inferencekey._async.snapshot import Snapshot
from inferencekey.deploy.lock_file import change_lock, without_entry
from inferencekey.deploy.plan import ManifestPlan, Removal
from inferencekey.deploy.report import Action, ApplyProgress, ApplyStatus, Report
from inferencekey.errors import (
    ConfigurationError,
    DeploymentError,
    DriftError,
    InferenceKeyError,
    TransportError,
)
from inferencekey.manifest import Lock, LockEntry
from inferencekey.models import Plan

__all__ = ["ApplyRun"]

MAX_NETWORK_ERRORS: Final = 3
"""After so many network errors in a row, without a response between them, no step begins."""

OnProgress = Callable[[ApplyProgress], object]


@attrs.frozen
class _Outcome:
    status: ApplyStatus
    id: str | None = None
    error: Exception | None = None


@attrs.define
class ApplyRun:
    """One apply of a plan.

    Args:
        mgmt: the client.
        plan: what to do.
        max_concurrency: how many workloads are worked on at a time.
        on_progress: called with every step that begins or ends.
        should_stop: asked before each step; after it returned ``True`` no step begins.
    """

    mgmt: AsyncManagementClient
    plan: ManifestPlan
    max_concurrency: int
    on_progress: OnProgress | None = None
    should_stop: Callable[[], bool] | None = None
    _progress: list[ApplyProgress] = attrs.field(init=False, factory=list[ApplyProgress])
    _network_errors: int = attrs.field(init=False, default=0)
    _callback_error: Exception | None = attrs.field(init=False, default=None)

    async def run(self) -> Report:
        """Apply the plan.

        Raises:
            DeploymentError: not every step was applied.
            OSError: the lock file cannot be written; nothing was changed.
            Exception: what ``on_progress`` raised.
        """
        changes = [plan for plan in self.plan.plans if plan.action != "none"]
        removals = self.plan.removals if self.plan.prune else ()
        self._prepare_lock(changes, removals)
        projects = (
            *(plan.project_slug for plan in changes),
            *(removal.project for removal in removals),
        )
        live = await self.mgmt._snapshot(projects, self.max_concurrency)
        await run_each(changes, self.max_concurrency, lambda plan: self._change(plan, live))
        # A workload is not removed before the ones that replace it are there.
        if not self._has_failures:
            await run_each(removals, self.max_concurrency, lambda one: self._remove(one, live))
        if self._callback_error is not None:
            raise self._callback_error
        report = Report.from_progress(self.plan, self._progress)
        if not report.is_complete:
            raise self._error(report)
        return report

    def _prepare_lock(self, changes: list[Plan], removals: tuple[Removal, ...]) -> None:
        def drop_stale(lock: Lock) -> Lock:
            for entry in self.plan.stale:
                lock = without_entry(lock, entry)
            return lock

        # A lock file that cannot be written is found out now, and not after a create to record.
        will_record = bool(removals) or any(plan.action == "create" for plan in changes)
        change_lock(self.plan.lock_path, drop_stale, always=will_record)

    @property
    def _has_failures(self) -> bool:
        return any(
            step.status in (ApplyStatus.FAILED, ApplyStatus.UNKNOWN, ApplyStatus.UNRECORDED)
            for step in self._progress
        )

    @property
    def _is_unreachable(self) -> bool:
        return self._network_errors >= MAX_NETWORK_ERRORS

    def _is_stopping(self) -> bool:
        if self._is_unreachable or self._callback_error is not None:
            return True
        return self.should_stop is not None and self.should_stop()

    async def _change(self, plan: Plan, live: Snapshot) -> None:
        async def carry_out() -> _Outcome:
            try:
                ref = await self.mgmt._apply(plan, live)
            except DriftError as error:
                if error.plan is None or error.plan.action != "none":
                    raise
                # Another caller, perhaps an apply of the same manifest, has done exactly this.
                return _Outcome(ApplyStatus.UNCHANGED)
            id = None if ref.plan is None else ref.plan.workload_id
            if plan.action != "create" or id is None:
                return _Outcome(ApplyStatus.DONE, id)
            place = (self.mgmt.base_url, plan.project_slug, plan.workload_slug)
            return self._record(
                f"it was created (id {id})", lambda lock: lock.record(*place, id), id
            )

        action: Action = "create" if plan.action == "create" else "update"
        await self._step(action, plan.project_slug, plan.workload_slug, carry_out)

    async def _remove(self, removal: Removal, live: Snapshot) -> None:
        async def carry_out() -> _Outcome:
            await self.mgmt._delete(removal.project, removal.slug, removal.id, live)
            entry = LockEntry(self.mgmt.base_url, removal.project, removal.slug, removal.id)
            return self._record(
                "it was removed", lambda lock: without_entry(lock, entry), removal.id
            )

        await self._step("remove", removal.project, removal.slug, carry_out)

    def _record(self, what: str, change: Callable[[Lock], Lock], id: str) -> _Outcome:
        try:
            change_lock(self.plan.lock_path, change)
        except (OSError, InferenceKeyError) as error:
            text = f"{what}, but it could not be recorded in the lock file: {error}"
            return _Outcome(ApplyStatus.UNRECORDED, id, ConfigurationError.of(text))
        return _Outcome(ApplyStatus.DONE, id)

    async def _step(
        self, action: Action, project: str, slug: str, carry_out: Callable[[], Awaitable[_Outcome]]
    ) -> None:
        if self._is_stopping():
            return
        step = ApplyProgress(action=action, project=project, slug=slug, status=ApplyStatus.BEGUN)
        await self._report(step)
        started = time.monotonic()
        try:
            outcome = await carry_out()
        except Exception as error:  # whatever it is, the other steps go on
            unanswered = isinstance(error, TransportError) and error.status is None
            self._network_errors = self._network_errors + 1 if unanswered else 0
            may_be_done = isinstance(error, InferenceKeyError) and error.outcome_unknown
            status = ApplyStatus.UNKNOWN if may_be_done else ApplyStatus.FAILED
            outcome = _Outcome(status, error=error)
        else:
            self._network_errors = 0
        seconds = time.monotonic() - started
        await self._report(
            attrs.evolve(step, seconds=seconds, **attrs.asdict(outcome, recurse=False))
        )

    async def _report(self, step: ApplyProgress) -> None:
        self._progress.append(step)
        if self.on_progress is None:
            return
        try:
            await run_callback(self.on_progress, step)
        except Exception as error:  # raised by run(), when the steps that have begun have ended
            self._callback_error = self._callback_error or error

    def _error(self, report: Report) -> DeploymentError:
        reason = "not everything was done"
        if self._is_unreachable:
            reason = "the platform cannot be reached any more"
        elif self.should_stop is not None and self.should_stop():
            reason = "stopped"
        return DeploymentError.of(
            f"{report}; {report.failures}. {_outlook(report)}", prefix=reason, report=report
        )


def _outlook(report: Report) -> str:
    if any(step.status is ApplyStatus.UNRECORDED for step in report.failed):
        return "Not everything that was created is in the lock file."
    if report.unknown:
        return (
            "A workload with an unknown outcome may exist and is not in the lock file; a later "
            "apply finds it and does not own it. Apply again to go on."
        )
    return "The lock file has everything that was created; apply again to go on."
