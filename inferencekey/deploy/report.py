"""The steps of an apply, as they begin and end, and the report of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, Literal

import attrs

from inferencekey.deploy.plan import LeftAlone, ManifestPlan, plan_name
from inferencekey.models import Plan

__all__ = ["ApplyProgress", "ApplyStatus", "Report"]

Action = Literal["create", "update", "remove"]

PAST_TENSE: Final[dict[Action, str]] = {
    "create": "created",
    "update": "updated",
    "remove": "removed",
}


class ApplyStatus(StrEnum):
    """The status of one step of an apply."""

    BEGUN = "begun"
    """It has begun; a request may have been sent."""
    DONE = "done"
    """It was applied, and the lock file is up to date."""
    UNCHANGED = "unchanged"
    """Another caller had done exactly this since the plan was made."""
    FAILED = "failed"
    """It was not applied; ``error`` has the reason."""
    UNKNOWN = "unknown"
    """The response was lost, so it may have been applied. The lock file does not record it."""
    UNRECORDED = "unrecorded"
    """It was applied, but the lock file could not be written; ``error`` has the reason."""


@attrs.frozen(kw_only=True)
class ApplyProgress:
    """What ``on_progress`` gets: one step of an apply has begun or has ended.

    Args:
        action: ``"create"``, ``"update"`` or ``"remove"``.
        project: the workload's project.
        slug: its slug.
        status: whether it has begun or ended, and how it ended.
        id: the workload's id. ``None`` before a create has ended, and where the response to a
            create was lost and the workload that exists now may be another caller's; it is then
            not recorded in the lock file.
        seconds: how long the step took; 0 when it begins.
        error: the reason, where it did not succeed.
    """

    action: Action
    project: str
    slug: str
    status: ApplyStatus
    id: str | None = None
    seconds: float = 0.0
    error: Exception | None = None

    @property
    def name(self) -> str:
        """``project/slug``."""
        return f"{self.project}/{self.slug}"


@attrs.frozen(kw_only=True)
class Report:
    """What an apply did with every workload of a plan. ``str(report)`` has the counts.

    Args:
        done: the steps that were applied, in the order in which they ended.
        failed: the steps that were not applied, or not recorded in the lock file.
        unknown: the steps whose response was lost, so they may have been applied.
        cut_off: ``project/slug`` of the steps that had begun and not ended when the apply was
            cancelled; they may have been applied.
        not_done: ``project/slug`` of the steps that had not begun.
        unchanged: how many workloads were as the manifest declares them.
        drifted: plans of live workloads that differ and were left as they are.
        left_alone: recorded workloads that were not removed, each with the reason.
    """

    done: tuple[ApplyProgress, ...] = ()
    failed: tuple[ApplyProgress, ...] = ()
    unknown: tuple[ApplyProgress, ...] = ()
    cut_off: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    unchanged: int = 0
    drifted: tuple[Plan, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()

    @classmethod
    def from_progress(cls, plan: ManifestPlan, progress: Iterable[ApplyProgress]) -> Report:
        """Return the report of an apply from what its ``on_progress`` got.

        An apply that is cancelled returns no report; this makes one.

        Args:
            plan: the plan that was applied.
            progress: everything that ``on_progress`` got, in its order.
        """
        # The last value of each step; the order is that in which the steps ended.
        last: dict[str, ApplyProgress] = {}
        for step in progress:
            last.pop(step.name, None)
            last[step.name] = step
        by_status: dict[ApplyStatus, list[ApplyProgress]] = {status: [] for status in ApplyStatus}
        for step in last.values():
            by_status[step.status].append(step)
        equal = plan.count("none") - len(plan.drifted)
        return cls(
            done=tuple(by_status[ApplyStatus.DONE]),
            failed=tuple(
                step
                for step in last.values()
                if step.status in (ApplyStatus.FAILED, ApplyStatus.UNRECORDED)
            ),
            unknown=tuple(by_status[ApplyStatus.UNKNOWN]),
            cut_off=tuple(step.name for step in by_status[ApplyStatus.BEGUN]),
            not_done=tuple(name for name in step_names(plan) if name not in last),
            unchanged=equal + len(by_status[ApplyStatus.UNCHANGED]),
            drifted=plan.drifted,
            left_alone=plan.left_alone,
        )

    @property
    def is_complete(self) -> bool:
        """Whether every step was applied and recorded."""
        return not (self.failed or self.unknown or self.cut_off or self.not_done)

    @property
    def failures(self) -> str:
        """How many steps did not succeed, as text."""
        unknown = len(self.unknown) + len(self.cut_off)
        return f"{len(self.failed)} failed, {unknown} unknown, {len(self.not_done)} not begun"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values. An error is its class and its text."""
        return {
            "done": [
                {"action": step.action, "project": step.project, "slug": step.slug, "id": step.id}
                for step in self.done
            ],
            "failed": {step.name: _error(step) for step in self.failed},
            "unknown": {step.name: _error(step) for step in self.unknown},
            "not_done": list(self.not_done),
            "cut_off": list(self.cut_off),
            "unchanged": self.unchanged,
            "drifted": [
                {
                    "project": plan.project_slug,
                    "slug": plan.workload_slug,
                    "fields": [change.field for change in plan.changes],
                }
                for plan in self.drifted
            ],
            "left_alone": [one.to_dict() for one in self.left_alone],
        }

    def __str__(self) -> str:
        counts = dict.fromkeys(PAST_TENSE, 0)
        for step in self.done:
            counts[step.action] += 1
        return ", ".join(f"{count} {PAST_TENSE[action]}" for action, count in counts.items())


def step_names(plan: ManifestPlan) -> tuple[str, ...]:
    """Return ``project/slug`` of everything that an apply of the plan would change, in order."""
    changes = (plan_name(one) for one in plan.plans if one.action != "none")
    removals = (removal.name for removal in plan.removals if plan.prune)
    return (*changes, *removals)


def _error(step: ApplyProgress) -> dict[str, str]:
    return {"type": type(step.error).__name__, "message": str(step.error)}
