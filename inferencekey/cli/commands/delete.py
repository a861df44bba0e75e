"""``inferencekey delete``: remove one workload, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.options import BaseUrl, Json, Project, Slug, Yes
from inferencekey.cli.output import note, print_json

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
    """Delete one workload, whoever made it, and what the platform had provisioned for it. Asks first."""
    import anyio

    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.connect import connect, project_of

    async def read() -> tuple[str, Workload]:
        async with connect(base_url, project) as mgmt:
            where = project_of(mgmt)
            return where, await mgmt.get_workload(slug, project=where)

    async def remove(found: Workload) -> None:
        async with connect(base_url, project) as mgmt:
            # By id: the workload that was shown, and no other that has taken its slug since.
            await mgmt.delete(found.slug, project=project_of(mgmt), id=found.id)

    where, found = anyio.run(read)
    confirm(f"Delete {where}/{found.slug} ({found.model_name})?", yes=yes, json=json)
    anyio.run(remove, found)
    if json:
        print_json({"deleted": {"project": where, "slug": found.slug, "id": found.id}})
    else:
        note(f"deleted {where}/{found.slug}")
