"""``inferencekey plan``: what an apply would change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Prune

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

    The exit code is 0 whether there are changes or not, unless --detailed-exitcode is given: then 2 says that there are
    some. Removals count as changes only with --prune. --json prints what --out saves.
    """
    import anyio

    from inferencekey.cli.connect import connect
    from inferencekey.cli.output import console, note, print_json
    from inferencekey.cli.plan_view import show_survey
    from inferencekey.deploy.plan import Survey, load, survey
    from inferencekey.deploy.saved import check_place, plan_document, write_plan

    manifest = load(file)
    if out is not None:
        check_place(out, manifest)

    async def read() -> Survey:
        async with connect(base_url) as mgmt:
            return await survey(mgmt, manifest, project=project, prune=prune)

    found = anyio.run(read)
    if not json:
        show_survey(found, console())
    if out is not None:
        write_plan(found, out)
    if json:
        print_json(plan_document(found))
    elif out is not None:
        note(f"saved: `inferencekey apply {out}` carries out exactly this")
    return 2 if detailed_exitcode and found.changes else 0
