"""``inferencekey wait``: until workloads are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from inferencekey.cli.failures import CommandError
from inferencekey.cli.options import BaseUrl, Json, Project

if TYPE_CHECKING:
    from inferencekey.models import Workload

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

    from inferencekey._core.slugs import checked_slug
    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.waiting import wait_for

    wanted = list(dict.fromkeys(checked_slug(slug) for slug in slugs or ()))
    if bool(wanted) == every:
        raise CommandError(
            "name the workloads to wait for, or pass --all" if not every else "--all takes no slugs"
        )

    async def follow() -> None:
        async with connect(base_url, project) as mgmt:
            where = project_of(mgmt)
            found = _slugs(await mgmt.list_workloads(project=where)) if every else wanted
            await wait_for(mgmt, {where: found}, timeout, json=json)

    anyio.run(follow)


def _slugs(found: list[Workload]) -> list[str]:
    return sorted(workload.slug for workload in found)
