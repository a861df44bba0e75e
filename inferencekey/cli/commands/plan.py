"""``inferencekey plan``: what an apply would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Prune
from inferencekey.cli.printing.failures import CommandError

__all__ = ["plan"]


def plan(
    file: ManifestPath = None,
    prune: Prune = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Save the plan for `apply FILE`; only an earlier plan is overwritten.",
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit with 0 for no change and 2 for changes."),
    ] = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> int:
    """Show what `apply` would change, and change nothing.

    The exit code is 0, also if there are changes; with --detailed-exitcode it is 2 then.
    Removals count as changes only with --prune. --json prints what --out saves.
    """
    import anyio

    from inferencekey.cli.connect import connect
    from inferencekey.cli.deployment import check_project, show_warnings
    from inferencekey.cli.printing.output import console, note, print_json
    from inferencekey.cli.printing.plan_view import show_plan
    from inferencekey.deploy import AsyncDeployment, ManifestPlan, write_plan
    from inferencekey.manifest import load_manifest
    from inferencekey.printable import surrogate_in

    manifest = load_manifest(file)
    if (json or out is not None) and surrogate_in(f"{manifest.path}{manifest.lock_path}"):
        raise CommandError(
            f"the name of the manifest, {manifest.path}, is not UTF-8 text, so its plan cannot be "
            "written as JSON; rename it"
        )

    async def make_plan() -> ManifestPlan:
        async with connect(base_url) as mgmt:
            check_project(manifest, project, mgmt)
            return await AsyncDeployment(mgmt).plan(manifest, project=project, prune=prune)

    found = anyio.run(make_plan)
    show_warnings(found)
    if out is not None:
        write_plan(found, out)
    if json:
        print_json(found.to_dict())
    else:
        show_plan(found, console())
        if out is not None:
            note(f"saved; `inferencekey apply {out}` applies exactly this plan")
    return 2 if detailed_exitcode and found.has_changes else 0
