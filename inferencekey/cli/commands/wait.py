"""``inferencekey wait``: wait until workloads are ready."""

from __future__ import annotations

from typing import Annotated

import typer

from inferencekey.cli.options import BaseUrl, Json, Project
from inferencekey.cli.printing.failures import CommandError

__all__ = ["wait"]


def wait(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="SLUG...", help="The slugs of the workloads, in any spelling."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All workloads of the project.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="The longest time to wait for all of them.")
    ] = 600.0,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Wait until workloads are ready. A terminal shows a live view, a pipe gets plain lines.

    With --json, stdout has one line for each event. The exit code is 1 if a workload failed or was
    not ready in time; the command still waits for the others.
    """
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.waiting import wait_for

    wanted = list(slugs or ())
    if every and wanted:
        raise CommandError("--all takes no slugs")
    if not every and not wanted:
        raise CommandError("project_name the workloads to wait for, or pass --all")

    async def follow() -> None:
        async with connect(base_url, project) as mgmt:
            project_name = project_of(mgmt)
            names = wanted
            if every:
                found = await mgmt.list_workloads(project=project_name)
                names = sorted(workload.slug for workload in found)
            await wait_for(mgmt, {project_name: names}, timeout, json=json)

    anyio.run(follow)
