"""``inferencekey delete``: delete one workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.options import BaseUrl, Json, Project, Slug, Yes
from inferencekey.cli.printing.output import note, print_json

if TYPE_CHECKING:
    from inferencekey.models import Workload

__all__ = ["delete"]


def delete(
    slug: Slug,
    yes: Yes = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Delete one workload, and everything that the platform provisioned for it.

    The workload need not come from a manifest. The command asks for confirmation first.
    """
    import anyio

    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.connect import connect, project_of

    async def read() -> tuple[str, Workload]:
        async with connect(base_url, project) as mgmt:
            project_name = project_of(mgmt)
            return project_name, await mgmt.get_workload(slug, project=project_name)

    async def remove(found: Workload) -> None:
        async with connect(base_url, project) as mgmt:
            # By id: another workload may have taken the slug since the question was shown.
            await mgmt.delete(found.slug, project=project_of(mgmt), id=found.id)

    project_name, found = anyio.run(read)
    confirm(f"Delete {project_name}/{found.slug} ({found.model_name})?", yes=yes, json=json)
    anyio.run(remove, found)
    if json:
        print_json({"deleted": {"project": project_name, "slug": found.slug, "id": found.id}})
    else:
        note(f"deleted {project_name}/{found.slug}")
