"""``inferencekey apply``: make the platform match a manifest, or carry out a saved plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferencekey.cli.failures import CommandError
from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Prune, Yes

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
            help="What to do about live workloads that differ: update them; fail and change nothing at all; leave them "
            "with a warning; leave them silently."
        ),
    ] = Drift.RECONCILE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all of its workloads are ready.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="The ceiling of --wait.")
    ] = 600.0,
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            help="Let --prune remove everything that a manifest without workloads made.",
        ),
    ] = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Make the platform match a manifest: show the plan, ask, and do exactly what was shown.

    What it creates is recorded in inferencekey.lock beside the manifest, to be committed: --prune and `destroy` remove
    only what is recorded there. After a failure the other workloads are carried to their end, the exit code is 1, and
    running it again goes on. A saved plan is refused, and nothing is changed, if what is live has moved since.

    With --json the first line is what became of everything; --wait adds a line for each event, and a last one with the
    error where something is not ready.
    """
    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.deployment import apply_plan, show_warnings
    from inferencekey.cli.output import console, print_json, print_text, warning
    from inferencekey.cli.plan_view import counts, show_plan
    from inferencekey.cli.session import Session
    from inferencekey.cli.waiting import wait_for
    from inferencekey.deploy.plan import drift_text
    from inferencekey.manifest import load_manifest
    from inferencekey.models import Timeouts

    if saved is not None and saved_option is not None:
        raise CommandError("the plan was given twice")
    saved = saved or saved_option
    if saved is not None and (file is not None or prune or project is not None):
        raise CommandError(
            "a saved plan says by itself what -f, --prune and --project would say; leave them out"
        )
    Timeouts(total=timeout)  # a wrong one is refused before anything is done
    manifest = load_manifest(file) if saved is None else None
    with Session(base_url) as session:
        if manifest is not None:
            plan = _make_plan(session, manifest, project, prune)
        else:
            assert saved is not None
            plan = _read_plan(session, saved)
        if plan.removes_everything and not allow_empty:
            raise CommandError(
                f"{plan.manifest_path} declares no workload, and --prune would remove all that it "
                "ever made; if that is meant, use `inferencekey destroy` or pass --allow-empty. "
                "Nothing was changed."
            )
        show_warnings(plan)
        if not json:
            show_plan(plan, console())
        plan = plan.resolve_drift(on_drift.value)
        if on_drift is Drift.WARN:
            for drifted in plan.drifted:
                warning(f"workload drifted from spec, left as it is: {drift_text(drifted)}")
        if plan.has_changes:
            confirm(f"Apply: {counts(plan)}?", yes=yes, json=json)
        report = session.run(apply_plan(session.mgmt, plan, allow_empty=allow_empty, json=json))
        if json:
            print_json(report.to_dict())
        else:
            print_text(f"Applied: {report}, {_unchanged(report)}")
        if wait:
            session.run(wait_for(session.mgmt, plan.slugs_by_project(), timeout, json=json))


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
            f"{error.detail} (`inferencekey plan --out FILE` saves a plan; -f names a manifest)"
        ) from None
    session.run(AsyncDeployment(session.mgmt).check(plan))
    return plan


def _unchanged(report: Report) -> str:
    text = f"{report.unchanged} unchanged"
    if report.drifted:
        text += f", {len(report.drifted)} drifted and left as it is"
    return text
