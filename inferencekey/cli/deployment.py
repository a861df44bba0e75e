"""What ``plan``, ``apply`` and ``destroy`` share: checks, warnings, and applying with progress."""

from __future__ import annotations

from typing import Any

import anyio
import attrs

from inferencekey import AsyncManagementClient
from inferencekey.cli.interrupt import interruptible
from inferencekey.cli.printing.failures import CommandError, SeveralErrors, error_dict
from inferencekey.cli.printing.output import note, warning
from inferencekey.deploy import (
    ApplyProgress,
    ApplyStatus,
    AsyncDeployment,
    ManifestPlan,
    Report,
)
from inferencekey.errors import DeploymentError, InferenceKeyError
from inferencekey.manifest import Manifest

__all__ = ["Incomplete", "apply_plan", "check_project", "show_warnings"]

UNKNOWN = "outcome unknown, it may have been done"
PAST_TENSE = {"create": "created", "update": "updated", "remove": "removed"}


def check_project(manifest: Manifest, project: str | None, mgmt: AsyncManagementClient) -> None:
    """Check that every workload of the manifest has a project.

    Raises:
        CommandError: one has none.
    """
    if project or mgmt.project or all(spec.project for spec in manifest.specs):
        return
    raise CommandError(
        'No project configured. Write project = "…" at the top of the manifest, pass --project, '
        "or set INFERENCEKEY_PROJECT."
    )


def show_warnings(plan: ManifestPlan) -> None:
    """Print what is allowed but probably not intended."""
    for text in plan.warnings:
        warning(text)


async def apply_plan(
    mgmt: AsyncManagementClient, plan: ManifestPlan, *, allow_empty: bool = False, json: bool
) -> Report:
    """Apply a plan: progress on stderr, and the first Ctrl-C lets what has begun end.

    Args:
        mgmt: the client.
        plan: what to do.
        allow_empty: ``--allow-empty``.
        json: ``--json``: print no progress.

    Raises:
        Incomplete: something failed, or the user interrupted it.
        InferenceKeyError: nothing was changed.
        OSError: the lock file cannot be written; nothing was changed.
    """
    progress: list[ApplyProgress] = []

    def on_progress(step: ApplyProgress) -> None:
        progress.append(step)
        _show(step, plan, quiet=json)

    with anyio.CancelScope() as scope, interruptible(scope) as interrupt:
        try:
            return await AsyncDeployment(mgmt).apply(
                plan,
                allow_empty=allow_empty,
                on_progress=on_progress,
                should_stop=interrupt.is_requested,
            )
        except DeploymentError as error:
            report = error.report or Report()
            raise Incomplete(report, error.prefix, interrupted=interrupt.requested) from None
    # Cancelled by a second Ctrl-C: what had begun is known from its progress.
    raise Incomplete(Report.from_progress(plan, progress), "", interrupted=True)


class Incomplete(SeveralErrors):
    """Not everything was done. The same command goes on where this one stopped.

    Attributes:
        report: what was done, what was not, and why.
        exit_code: 1, or 130 after Ctrl-C.
    """

    def __init__(self, report: Report, reason: str, *, interrupted: bool) -> None:
        unfinished: dict[str, Exception] = {}
        for step in report.failed:
            unfinished[step.name] = step.error or InferenceKeyError("failed")
        for step in report.unknown:
            unfinished[step.name] = InferenceKeyError(f"{UNKNOWN}: {step.error}")
        for name in report.cut_off:
            unfinished[name] = InferenceKeyError("cut off, it may have been done")
        for name in report.not_done:
            unfinished[name] = InferenceKeyError("not begun")
        if interrupted:
            reason = "interrupted"
        super().__init__(
            f"{reason}: {report}; {report.failures}. {_outlook(report)}",
            unfinished,
        )
        self.report = _JsonReport(report)
        self.exit_code = 130 if interrupted else 1


@attrs.frozen
class _JsonReport:
    """A report whose errors have everything that the JSON of other errors has."""

    report: Report

    def to_dict(self) -> dict[str, Any]:
        found = self.report.to_dict()
        for key, steps in (("failed", self.report.failed), ("unknown", self.report.unknown)):
            found[key] = {
                step.name: error_dict(step.error) for step in steps if step.error is not None
            }
        return found


def _show(step: ApplyProgress, plan: ManifestPlan, *, quiet: bool) -> None:
    if step.status is ApplyStatus.BEGUN:
        return
    if step.status is ApplyStatus.DONE and step.action == "create" and step.id is None:
        warning(
            f"{step.name}: the response to its creation was lost, so the workload that exists now "
            f"may be another caller's. It is not recorded in {plan.lock_path}, and --prune and "
            "destroy leave it alone."
        )
    if quiet:
        return
    if step.status is ApplyStatus.DONE:
        note(f"{step.name}: {PAST_TENSE[step.action]} ({step.seconds:.1f} s)")
    elif step.status is ApplyStatus.UNCHANGED:
        note(f"{step.name}: another caller has already done this")
    elif step.status is ApplyStatus.UNKNOWN:
        note(f"{step.name}: {UNKNOWN}")
    else:
        note(f"{step.name}: failed")


def _outlook(report: Report) -> str:
    if any(step.status is ApplyStatus.UNRECORDED for step in report.failed):
        return "Not everything that was created is in the lock file."
    if report.unknown or report.cut_off:
        return (
            "A workload with an unknown outcome may exist and is not in the lock file. "
            "`inferencekey list` shows whether it exists. To have it recorded, remove it with "
            "`inferencekey delete`. Run the command again to go on."
        )
    return "The lock file has everything that was created; run the command again to go on."
