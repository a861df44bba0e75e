"""Plans of a manifest, async and sync, against a control plane over real sockets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults.plane import Plane

from deploy.deployments import call, lock, workload, write
from inferencekey import ConfigurationError, DriftError, OnDrift, ValidationError
from inferencekey.deploy import LeftAlone, ManifestPlan, Removal
from inferencekey.manifest import ManifestError, load_manifest

WAYS = pytest.mark.parametrize("way", ["async", "sync"])


@WAYS
def test_a_plan_has_every_workload_and_changes_nothing(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    plane.add("old", name="old", description="before")
    plane.add("same", name="same")
    path = write(tmp_path, workload("new"), workload("old", description="after"), workload("same"))
    plan = call(way, plane, "plan", path)
    assert [one.action for one in plan.plans] == ["create", "update", "none"]
    assert [plan.count(action) for action in ("create", "update", "none")] == [1, 1, 1]
    assert plan.has_changes
    assert plan.slugs_by_project() == {"acme": ["new", "old", "same"]}
    assert (plan.manifest_path, plan.lock_path) == (path, tmp_path / "inferencekey.lock")
    text = str(plan)
    assert "+ acme/new: create" in text
    assert "~ acme/old: update" in text
    assert "= acme/same: no change" in text
    assert [request.method for request in plane.requests] == ["GET"]
    assert not (tmp_path / "inferencekey.lock").exists()


@WAYS
def test_a_manifest_is_a_path_or_what_load_manifest_returned(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    path = write(tmp_path, workload("one"))
    plans = [
        call(way, plane, "plan", given) for given in (path, os.fspath(path), load_manifest(path))
    ]
    assert plans[0] == plans[1] == plans[2]


@WAYS
def test_each_project_is_listed_once(way: str, plane: Plane, tmp_path: Path) -> None:
    texts = [workload(f"w-{n}", project=f"p-{n % 3}") for n in range(30)]
    plan = call(way, plane, "plan", write(tmp_path, *texts))
    assert plan.count("create") == 30
    # The fourth is the client's project, where removed workloads may be.
    assert plane.count("GET") == 4


@WAYS
def test_mistakes_of_the_manifest_are_raised_before_any_request(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match="model is required"):
        call(way, plane, "plan", write(tmp_path, '[[workloads]]\nname = "a"\nbackend = "vllm"\n'))
    with pytest.raises(ConfigurationError, match="remove one of them"):
        path = write(tmp_path, 'project = "b"', workload("one"))
        call(way, plane, "plan", path, project="a")
    with pytest.raises(ConfigurationError, match="have the same lock file"):
        write(tmp_path, "workloads: []\n", name="inferencekey.yaml")
        call(way, plane, "plan", path)
    assert not plane.requests


@WAYS
def test_two_specs_of_one_workload_are_refused(way: str, plane: Plane, tmp_path: Path) -> None:
    """One names the project, the other one gets the client's: only together are they the same."""
    path = write(tmp_path, workload("one", project="acme"), workload("one"))
    with pytest.raises(ValidationError, match="is the same workload as"):
        call(way, plane, "plan", path)
    assert not plane.requests


@WAYS
def test_warnings_are_values(way: str, plane: Plane, tmp_path: Path) -> None:
    plane.add("one", name="one", task_type="embedding")
    path = write(tmp_path, workload("one", command="vllm serve m"))
    plan = call(way, plane, "plan", path)
    odd, unchangeable = plan.warnings
    assert odd.startswith(f"{path}:5: command")
    assert "has the task_type 'embedding'" in unchangeable


@WAYS
def test_removals_are_what_an_apply_created(way: str, plane: Plane, tmp_path: Path) -> None:
    plane.add("stranger")
    path = write(tmp_path, workload("one"), workload("two"))
    call(way, plane, "apply", call(way, plane, "plan", path))
    ids = lock(tmp_path)
    write(tmp_path, workload("two"))
    plan = call(way, plane, "plan", path)
    assert plan.removals == (Removal("acme", "one", ids["one"]),)
    assert not plan.has_changes
    plan = call(way, plane, "plan", path, prune=True)
    assert plan.has_changes
    assert "- acme/one: remove" in str(plan)


@WAYS
def test_a_plan_to_destroy_says_what_it_leaves_alone(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    plane.add("stranger", name="stranger")
    path = write(tmp_path, workload("one"), workload("stranger"))
    call(way, plane, "apply", call(way, plane, "plan", path))
    plan = call(way, plane, "plan_destroy", path)
    assert plan.plans == ()
    assert [removal.name for removal in plan.removals] == ["acme/one"]
    assert plan.left_alone == (
        LeftAlone("acme", "stranger", "no apply of this manifest created it"),
    )
    assert (plan.prune, plan.destroy, plan.removes_everything) == (True, True, False)
    report = call(way, plane, "apply", plan)
    assert [step.name for step in report.done] == ["acme/one"]
    assert plane.slugs() == ["stranger"]


@WAYS
def test_check_refuses_a_plan_whose_workloads_have_moved(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    path = write(tmp_path, workload("one"), workload("two"))
    plan = call(way, plane, "plan", path)
    call(way, plane, "check", plan)
    plane.add("one")
    with pytest.raises(DriftError, match="'one' exists now. Plan again."):
        call(way, plane, "check", plan)
    plane.add("two")
    with pytest.raises(DriftError, match="^workloads drifted from plan: ") as caught:
        call(way, plane, "check", plan)
    assert str(caught.value).count("exists now") == 2
    assert {request.method for request in plane.requests} == {"GET"}


@WAYS
def test_a_plan_is_for_one_platform(way: str, plane: Plane, tmp_path: Path) -> None:
    with Plane() as other:
        plan = call(way, other, "plan", write(tmp_path, workload("one")))
    for method in ("check", "apply"):
        with pytest.raises(ConfigurationError, match=f"was made for {other.url}"):
            call(way, plane, method, plan)
    assert not plane.requests


@pytest.mark.parametrize("mode", [OnDrift.WARN, "ignore"])
def test_drift_that_is_left_as_it_is(plane: Plane, tmp_path: Path, mode: OnDrift | str) -> None:
    plane.add("one", name="one", description="before")
    path = write(tmp_path, workload("one", description="after"), workload("two"))
    plan = call("sync", plane, "plan", path)
    resolved = plan.resolve_drift(mode)
    assert [one.action for one in resolved.plans] == ["none", "create"]
    assert resolved.drifted == plan.plans[:1]
    assert plan.resolve_drift("reconcile") is plan
    assert plan.resolve_drift("dry_run") is plan
    with pytest.raises(DriftError, match=r"acme/one \(description\)\. Nothing was changed\."):
        plan.resolve_drift("fail")
    with pytest.raises(ValidationError, match="on_drift must be one of"):
        plan.resolve_drift("destroy")


def test_a_plan_survives_a_dictionary(plane: Plane, tmp_path: Path) -> None:
    path = write(tmp_path, workload("one"))
    plan = call("sync", plane, "plan", path, prune=True)
    assert ManifestPlan.from_dict(plan.to_dict()) == plan
    call("sync", plane, "apply", plan)
    destroy = call("sync", plane, "plan_destroy", path)
    assert ManifestPlan.from_dict(destroy.to_dict()) == destroy


@pytest.mark.parametrize(
    "change", [{"prune": True}, {"plans": []}, {"format": 2}, {"digest": None}, {"lock": "other"}]
)
def test_a_plan_that_was_edited_is_refused(
    plane: Plane, tmp_path: Path, change: dict[str, object]
) -> None:
    document = call("sync", plane, "plan", write(tmp_path, workload("one"))).to_dict()
    with pytest.raises(ValidationError, match="changed after it was made"):
        ManifestPlan.from_dict({**document, **change})
