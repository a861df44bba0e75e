"""``inferencekey apply``: make the platform match a manifest, or carry out a saved plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inferencekey.cli.failures import CommandError
from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Prune, Yes

if TYPE_CHECKING:
    from inferencekey.deploy.apply import Report
    from inferencekey.deploy.plan import Survey

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
    import anyio

    from inferencekey._core.deadlines import for_unary
    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.connect import connect
    from inferencekey.cli.output import console, print_json, print_text
    from inferencekey.cli.plan_view import show_survey, summary
    from inferencekey.deploy.plan import load, survey

    if saved is not None and saved_option is not None:
        raise CommandError("the plan was given twice")
    saved = saved or saved_option
    if saved is not None and (file is not None or prune or project is not None):
        raise CommandError(
            "a saved plan says by itself what -f, --prune and --project would say; leave them out"
        )
    for_unary(timeout, None)  # a wrong one is not to be found out after the work
    manifest = load(file) if saved is None else None

    async def read() -> Survey:
        async with connect(base_url) as mgmt:
            if manifest is not None:
                return await survey(mgmt, manifest, project=project, prune=prune)
            from inferencekey.deploy.saved import check_still, read_plan

            assert saved is not None
            found = read_plan(saved, mgmt.base_url)
            await check_still(mgmt, found)
            return found

    async def carry_out(found: Survey) -> Report:
        from inferencekey.deploy.apply import CarryOut

        async with connect(base_url) as mgmt:
            return await CarryOut(mgmt, found, quiet=json).run()

    async def until_ready(found: Survey) -> None:
        from inferencekey.cli.waiting import wait_for

        workloads: dict[str, list[str]] = {}
        for plan in found.plans:
            workloads.setdefault(plan.project_slug, []).append(plan.workload_slug)
        async with connect(base_url) as mgmt:
            await wait_for(mgmt, workloads, timeout, json=json)

    found = anyio.run(read)
    if found.prune and not (found.plans or allow_empty):
        raise CommandError(
            f"{found.manifest} declares no workload, and --prune would remove all that it ever made; if that is meant, "
            "use `inferencekey destroy` or pass --allow-empty. Nothing was changed."
        )
    if not json:
        show_survey(found, console())
    found = _by_drift(found, on_drift)
    if found.changes:
        confirm(f"{summary(found).replace('Plan:', 'Apply:')}?", yes=yes, json=json)
    report = anyio.run(carry_out, found)
    if json:
        print_json(report.to_dict())
    else:
        print_text(f"Applied: {report}, {report.left}")
    if wait:
        anyio.run(until_ready, found)


def _by_drift(found: Survey, mode: Drift) -> Survey:
    """Return what is left to do under ``--on-drift``."""
    import attrs

    from inferencekey.cli.output import warning
    from inferencekey.deploy.plan import name_of
    from inferencekey.errors import DriftError

    drifted = [plan for plan in found.plans if plan.action == "update"]
    if mode is Drift.RECONCILE or not drifted:
        return found
    words = [
        f"{name_of(plan)} ({', '.join(change.field for change in plan.changes)})"
        for plan in drifted
    ]
    if mode is Drift.FAIL:
        raise DriftError.of(
            f"{'; '.join(words)}. Nothing was changed.",
            prefix="workload drifted from spec",
            plan=drifted[0] if len(drifted) == 1 else None,
        )
    if mode is Drift.WARN:
        for text in words:
            warning(f"workload drifted from spec, left as it is: {text}")
    left = tuple(
        attrs.evolve(plan, action="none", changes=()) if plan in drifted else plan
        for plan in found.plans
    )
    return attrs.evolve(found, plans=left, drifted=tuple(drifted))
