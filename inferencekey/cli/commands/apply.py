"""``inferencekey apply``: make the platform match a manifest, or apply a saved plan."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Prune, Yes
from inferencekey.cli.printing.failures import CommandError

if TYPE_CHECKING:
    from inferencekey.cli.session import Session
    from inferencekey.deploy import ManifestPlan, Report
    from inferencekey.manifest import Manifest

__all__ = ["apply"]


class Drift(StrEnum):
    """What to do about live workloads that differ."""

    RECONCILE = "reconcile"
    FAIL = "fail"
    WARN = "warn"
    IGNORE = "ignore"


def apply(
    saved: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN", help="A plan that `plan --out` saved, instead of a manifest."
        ),
    ] = None,
    saved_option: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN", help="The same as an option.")
    ] = None,
    file: ManifestPath = None,
    yes: Yes = False,
    prune: Prune = False,
    on_drift: Annotated[
        Drift,
        typer.Option(
            help="What to do about live workloads that differ: update them; fail and change "
            "nothing at all; leave them as they are, with or without a warning."
        ),
    ] = Drift.RECONCILE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all of its workloads are ready.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long --wait waits at most.")
    ] = 600.0,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            help="Let --prune remove everything, if the manifest declares no workload.",
        ),
    ] = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Make the platform match a manifest: show the plan, ask, and apply exactly this plan.

    Workloads that it creates are recorded in inferencekey.lock beside the manifest. Commit that
    file: --prune and `destroy` remove only what it records. One workload that fails does not stop
    the others; the exit code is 1 then, and the same command goes on where this one stopped. A
    saved plan is refused, and nothing is changed, if a workload has changed since it was made.

    With --json the first line is the report. --wait adds a line for each event, and a last one
    with the error if a workload is not ready.
    """
    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.deployment import apply_plan, show_warnings
    from inferencekey.cli.printing.output import console, print_json, print_text
    from inferencekey.cli.printing.plan_view import counts, show_plan
    from inferencekey.cli.session import Session
    from inferencekey.cli.waiting import wait_for
    from inferencekey.manifest import load_manifest

    path = _saved_plan(saved, saved_option)
    if path is not None and (file is not None or prune or project is not None):
        raise CommandError(
            "a saved plan contains its manifest, its project and --prune; leave out -f, --project "
            "and --prune"
        )
    if not 0 < timeout < math.inf:  # found out now, and not after the work
        raise CommandError(f"--timeout must be more than 0 seconds; got {timeout:g}")
    manifest = load_manifest(file) if path is None else None
    with Session(base_url) as session:
        if path is not None:
            plan = _read_plan(session, path)
        else:
            assert manifest is not None
            plan = _make_plan(session, manifest, project, prune)
        if plan.removes_everything and not allow_empty:
            raise CommandError(
                f"{plan.manifest_path} declares no workload, so --prune would remove everything "
                "that it created before. If you want that, use `inferencekey destroy` or pass "
                "--allow-empty. Nothing was changed."
            )
        show_warnings(plan)
        if not json:
            show_plan(plan, console())
        plan = _resolve_drift(plan, on_drift)
        if plan.has_changes:
            confirm(f"Apply: {counts(plan)}?", yes=yes, json=json)
        report = session.run(apply_plan(session.mgmt, plan, allow_empty=allow_empty, json=json))
        if json:
            print_json(report.to_dict())
        else:
            print_text(f"Applied: {report}, {_unchanged(report)}")
        if wait:
            session.run(wait_for(session.mgmt, plan.slugs_by_project(), timeout, json=json))


def _saved_plan(argument: Path | None, option: Path | None) -> Path | None:
    if argument is not None and option is not None:
        raise CommandError("pass the saved plan once: as an argument or with --plan")
    return option if argument is None else argument


def _resolve_drift(plan: ManifestPlan, mode: Drift) -> ManifestPlan:
    from inferencekey.cli.printing.output import warning
    from inferencekey.deploy.plan import drift_text

    resolved = plan.resolve_drift(mode.value)
    if mode is Drift.WARN:
        for drifted in resolved.drifted:
            warning(f"workload drifted from spec, left as it is: {drift_text(drifted)}")
    return resolved


def _make_plan(
    session: Session, manifest: Manifest, project: str | None, prune: bool
) -> ManifestPlan:
    from inferencekey.cli.deployment import check_project
    from inferencekey.deploy import AsyncDeployment

    check_project(manifest, project, session.mgmt)
    deployment = AsyncDeployment(session.mgmt)
    return session.run(deployment.plan(manifest, project=project, prune=prune))


def _read_plan(session: Session, path: Path) -> ManifestPlan:
    from inferencekey.deploy import AsyncDeployment, read_plan
    from inferencekey.errors import ValidationError

    try:
        plan = read_plan(path)
    except ValidationError as error:
        raise CommandError(
            f"{error.detail} (`inferencekey plan --out FILE` saves a plan; for a manifest, use -f)"
        ) from None
    session.run(AsyncDeployment(session.mgmt).check(plan))
    return plan


def _unchanged(report: Report) -> str:
    text = f"{report.unchanged} unchanged"
    if report.drifted:
        text += f", {len(report.drifted)} drifted and left as it is"
    return text
