"""``inferencekey destroy``: remove what the applies of a manifest created."""

from __future__ import annotations

from inferencekey.cli.options import BaseUrl, Json, ManifestPath, Project, Yes

__all__ = ["destroy"]


def destroy(
    file: ManifestPath = None,
    yes: Yes = False,
    project: Project = None,
    base_url: BaseUrl = None,
    json: Json = False,
) -> None:
    """Remove the workloads that applies of this manifest created. It asks first.

    These are the workloads that inferencekey.lock beside the manifest records by id. Workloads
    that existed before, or that another caller created again under the same slug, are left alone
    and listed.
    """
    from inferencekey.cli.confirm import confirm
    from inferencekey.cli.deployment import apply_plan, check_project
    from inferencekey.cli.printing.output import console, print_json, print_text
    from inferencekey.cli.printing.plan_view import show_removals
    from inferencekey.cli.session import Session
    from inferencekey.deploy import AsyncDeployment
    from inferencekey.manifest import load_manifest

    manifest = load_manifest(file)
    with Session(base_url) as session:
        check_project(manifest, project, session.mgmt)
        deployment = AsyncDeployment(session.mgmt)
        plan = session.run(deployment.plan_destroy(manifest, project=project))
        if not json:
            show_removals(plan, console())
        if plan.removals:
            confirm(f"Destroy: {len(plan.removals)} to remove?", yes=yes, json=json)
        report = session.run(apply_plan(session.mgmt, plan, json=json))
    if json:
        print_json(report.to_dict())
    elif plan.removals:
        print_text(f"Destroyed: {len(report.done)} removed")
    else:
        print_text(f"nothing to destroy: no workload that {plan.lock_path} records exists")
