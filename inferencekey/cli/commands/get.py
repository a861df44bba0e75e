"""``inferencekey get``: one workload as the platform stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.options import BaseUrl, Json, Project, Slug
from inferencekey.cli.printing.output import print_json, print_lines

if TYPE_CHECKING:
    from inferencekey.models import Workload

__all__ = ["get"]


def get(slug: Slug, project: Project = None, base_url: BaseUrl = None, json: Json = False) -> None:
    """Show one workload as the platform stores it."""
    import anyio

    from inferencekey.cli.connect import connect, project_of
    from inferencekey.cli.printing.views import workload_dict, workload_lines

    async def read() -> Workload:
        async with connect(base_url, project) as mgmt:
            return await mgmt.get_workload(slug, project=project_of(mgmt))

    found = anyio.run(read)
    if json:
        print_json(workload_dict(found))
    else:
        print_lines(workload_lines(found))
