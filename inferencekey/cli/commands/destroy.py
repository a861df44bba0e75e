"""``inferencekey destroy``: remove what a manifest's applies created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Yes

if TYPE_CHECKING:
    from inferencekey.deploy.apply import Report
    from inferencekey.deploy.plan import Survey

__all__ = ["destroy"]


def destroy(
    file: ManifestPath = None,
    yes: Yes = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Remove the workloads that applies of this manifest created. Asks first.

    These are the ones that inferencekey.lock beside the manifest records by id. Workloads that existed before, or that
    somebody else made since under the same slug, are left alone, and it says so.
    """
    import anyio

    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.connect import connect
    from inferencekey.cli.output import console, print_json, print_text
    from inferencekey.cli.plan_view import show_records
    from inferencekey.deploy.plan import load, survey_for_destroy

    manifest = load(file)

    async def read() -> Survey:
        async with connect(base_url) as mgmt:
            return await survey_for_destroy(mgmt, manifest, project=project)

    async def carry_out(found: Survey) -> Report:
        from inferencekey.deploy.apply import CarryOut

        async with connect(base_url) as mgmt:
            return await CarryOut(mgmt, found, quiet=json).run()

    found = anyio.run(read)
    if not json:
        show_records(found, console())
    if found.removals:
        confirm(f"Destroy: {len(found.removals)} to remove?", yes=yes, json=json)
    report = anyio.run(carry_out, found)
    if json:
        print_json(report.to_dict())
    elif found.removals:
        print_text(f"Destroyed: {len(report.done)} removed")
    else:
        print_text(f"nothing to destroy: {found.lock} records nothing that is live")
