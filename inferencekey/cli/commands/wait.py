"""``inferencekey wait``: until workloads are ready."""

from __future__ import annotations

from typing import Annotated

import typer

from inferencekey.cli.failures import CommandError
from inferencekey.cli.options import BaseUrl, Json, Project

__all__ = ["wait"]


def wait(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="SLUG...", help="The workloads, in any form of their slugs."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All workloads of the project.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="A hard ceiling for all of it.")
    ] = 600.0,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Wait until workloads are ready, with a live view on a terminal and plain lines elsewhere.

    With --json there is one line on stdout for each event. Exit code 1 if one of them failed or was not ready in time;
    the others are waited for all the same.
    """
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.waiting import wait_for

    wanted = list(slugs or ())
    if every and wanted:
        raise CommandError("--all takes no slugs")
    if not every and not wanted:
        raise CommandError("name the workloads to wait for, or pass --all")

    async def follow() -> None:
        async with connect(base_url, project) as mgmt:
            where = project_of(mgmt)
            names = wanted
            if every:
                found = await mgmt.list_workloads(project=where)
                names = sorted(workload.slug for workload in found)
            await wait_for(mgmt, {where: names}, timeout, json=json)

    anyio.run(follow)
