"""Applies of a manifest's plan, async and sync, against a control plane over real sockets."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from faults.calls import TOKEN
from faults.plane import Plane
from faults.server import Request

from deploy.deployments import call, lock, workload, write
from inferencekey import (
    AsyncManagementClient,
    ConfigurationError,
    DeploymentError,
    DriftError,
    RetryPolicy,
    ValidationError,
    WorkloadDriftWarning,
)
from inferencekey.deploy import ApplyProgress, ApplyStatus, AsyncDeployment, ManifestPlan, Report

WAYS = pytest.mark.parametrize("way", ["async", "sync"])


def planned(way: str, plane: Plane, folder: Path, *workloads: str, **options: Any) -> ManifestPlan:
    """Return the plan of a manifest of these workloads."""
    plan = call(way, plane, "plan", write(folder, *workloads), **options)
    assert isinstance(plan, ManifestPlan)
    return plan


@WAYS
def test_everything_is_done_and_recorded(way: str, plane: Plane, tmp_path: Path) -> None:
    plane.add("old", name="old")
    plane.add("same", name="same")
    plan = planned(
        way,
        plane,
        tmp_path,
        workload("new"),
        workload("old", description="after"),
        workload("same"),
    )
    report = call(way, plane, "apply", plan)
    assert str(report) == "1 created, 1 updated, 0 removed"
    assert (report.unchanged, report.is_complete) == (1, True)
    done = {step.slug: step for step in report.done}
    assert (done["new"].action, done["new"].id) == ("create", lock(tmp_path)["new"])
    assert (done["old"].action, done["old"].id) == ("update", "w-1")
    assert list(lock(tmp_path)) == ["new"]
    assert json.loads(json.dumps(report.to_dict()))["unchanged"] == 1


@WAYS
def test_each_project_is_listed_once_per_apply(way: str, plane: Plane, tmp_path: Path) -> None:
    texts = [workload(f"w-{n}", project="abc"[n % 3]) for n in range(30)]
    plan = planned(way, plane, tmp_path, *texts)
    before = plane.count("GET")
    call(way, plane, "apply", plan)
    assert (plane.count("GET") - before, plane.count("POST")) == (3, 30)
    plan = call(way, plane, "plan_destroy", tmp_path / "inferencekey.toml")
    before = plane.count("GET")
    call(way, plane, "apply", plan)
    assert (plane.count("GET") - before, plane.count("DELETE")) == (3, 30)
    assert plane.rows == {}
    assert lock(tmp_path) == {}


@WAYS
def test_progress_is_typed_and_called_in_the_callers_thread(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    seen: list[tuple[ApplyProgress, int]] = []

    def on_progress(step: ApplyProgress) -> None:
        # What has ended is recorded by now.
        if step.status is ApplyStatus.DONE:
            assert lock(tmp_path)[step.slug] == step.id
        seen.append((step, threading.get_ident()))

    plan = planned(way, plane, tmp_path, workload("one"), workload("two"))
    report = call(way, plane, "apply", plan, on_progress=on_progress)
    steps = [step for step, _ in seen]
    assert {thread for _, thread in seen} == {threading.get_ident()}
    assert sorted((step.name, step.status.value) for step in steps) == [
        ("acme/one", "begun"),
        ("acme/one", "done"),
        ("acme/two", "begun"),
        ("acme/two", "done"),
    ]
    assert all(step.seconds > 0 for step in report.done)
    assert Report.from_progress(plan, steps) == report


@WAYS
def test_nothing_is_printed(
    way: str, plane: Plane, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plane.refusals = {("POST", "two"): 422}
    plan = planned(way, plane, tmp_path, workload("one", command="vllm serve m"), workload("two"))
    with pytest.raises(DeploymentError):
        call(way, plane, "apply", plan)
    assert capfd.readouterr() == ("", "")


@WAYS
def test_a_failure_does_not_stop_the_others_but_the_removals(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    call(way, plane, "apply", planned(way, plane, tmp_path, workload("gone")))
    plane.refusals = {("POST", "bad"): 422}
    plan = planned(way, plane, tmp_path, workload("bad"), workload("good"), prune=True)
    with pytest.raises(DeploymentError) as caught:
        call(way, plane, "apply", plan)
    error = caught.value
    assert str(error) == (
        "not everything was done: 1 created, 0 updated, 0 removed; "
        "1 failed, 0 unknown, 1 not begun. The lock file has everything that was created; "
        "apply again to go on."
    )
    report = error.report
    assert report is not None
    assert [(step.name, type(step.error)) for step in report.failed] == [
        ("acme/bad", ValidationError)
    ]
    assert report.not_done == ("acme/gone",)
    assert report.to_dict()["failed"]["acme/bad"]["type"] == "ValidationError"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.report.not_done) == (str(error), report.not_done)
    assert plane.slugs() == sorted(lock(tmp_path)) == ["gone", "good"]
    plane.refusals = {}
    plan = planned(way, plane, tmp_path, workload("bad"), workload("good"), prune=True)
    assert str(call(way, plane, "apply", plan)) == "1 created, 0 updated, 1 removed"
    assert plane.slugs() == sorted(lock(tmp_path)) == ["bad", "good"]


@WAYS
def test_should_stop_finishes_what_has_begun(way: str, plane: Plane, tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_at_first(request: Request) -> None:
        if request.method == "POST":
            stop.set()

    plane.before = stop_at_first
    plan = planned(way, plane, tmp_path, *(workload(f"w-{n}") for n in range(20)))
    with pytest.raises(DeploymentError, match="^stopped: ") as caught:
        call(way, plane, "apply", plan, should_stop=stop.is_set, max_concurrency=3)
    report = caught.value.report
    assert report is not None
    assert 1 <= len(report.done) <= 3
    assert len(report.done) + len(report.not_done) == 20
    assert sorted(lock(tmp_path)) == plane.slugs() == sorted(step.slug for step in report.done)


@WAYS
def test_an_error_of_on_progress_is_raised_at_the_end(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    def on_progress(step: ApplyProgress) -> None:
        if step.status is ApplyStatus.DONE:
            raise KeyError(step.slug)

    plan = planned(way, plane, tmp_path, *(workload(f"w-{n}") for n in range(20)))
    with pytest.raises(KeyError):
        call(way, plane, "apply", plan, on_progress=on_progress, max_concurrency=4)
    assert 1 <= len(plane.slugs()) <= 4
    assert sorted(lock(tmp_path)) == plane.slugs()


@pytest.mark.anyio
async def test_a_cancelled_apply_is_reported_from_its_progress(
    plane: Plane, tmp_path: Path
) -> None:
    steps: list[ApplyProgress] = []
    both_begun = threading.Event()

    def count(request: Request) -> None:
        if plane.count("POST") == 2:
            both_begun.set()

    plane.before = count
    async with AsyncManagementClient(base_url=plane.url, project="acme", sdk_token=TOKEN) as mgmt:
        deployment = AsyncDeployment(mgmt)
        path = write(tmp_path, *(workload(f"w-{n}") for n in range(5)))
        plan = await deployment.plan(path)
        plane.stall = {"POST"}
        task = asyncio.create_task(
            deployment.apply(plan, on_progress=steps.append, max_concurrency=2)
        )
        assert await asyncio.to_thread(both_begun.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    report = Report.from_progress(plan, steps)
    assert report.cut_off == ("acme/w-0", "acme/w-1")
    assert report.not_done == ("acme/w-2", "acme/w-3", "acme/w-4")


@WAYS
def test_a_lost_response_is_an_unknown_outcome(way: str, plane: Plane, tmp_path: Path) -> None:
    plan = planned(way, plane, tmp_path, workload("one"))

    def refuse_the_next_list(request: Request) -> None:
        if request.method == "POST":
            plane.refusals["LIST", "acme"] = 401

    plane.before, plane.lose = refuse_the_next_list, 1
    with pytest.raises(DeploymentError, match="0 failed, 1 unknown") as caught:
        call(way, plane, "apply", plan)
    report = caught.value.report
    assert report is not None
    assert [step.name for step in report.unknown] == ["acme/one"]
    assert plane.slugs() == ["one"]
    assert lock(tmp_path) == {}


def test_nothing_begins_after_three_network_errors(tmp_path: Path) -> None:
    with Plane() as plane:
        plan = planned("sync", plane, tmp_path, *(workload(f"w-{n}") for n in range(50)))
    with pytest.raises(DeploymentError, match="^the platform cannot be reached any more: "):
        call("sync", plane, "apply", plan)


@WAYS
def test_a_planned_change_that_another_caller_made_is_unchanged(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    plan = planned(way, plane, tmp_path, workload("one"), workload("two"))
    plane.add("one", name="one")
    plane.add("two", name="another")
    steps: list[ApplyProgress] = []
    with pytest.raises(DeploymentError) as caught:
        call(way, plane, "apply", plan, on_progress=steps.append)
    report = caught.value.report
    assert report is not None
    assert report.unchanged == 1
    assert [type(step.error) for step in report.failed] == [DriftError]
    assert {step.slug: step.status for step in steps} == {
        "one": ApplyStatus.UNCHANGED,
        "two": ApplyStatus.FAILED,
    }
    assert plane.count("POST") == 0
    assert lock(tmp_path) == {}


@WAYS
def test_a_lock_file_that_cannot_be_written_is_found_out_first(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    plan = planned(way, plane, tmp_path, workload("one"))
    (tmp_path / "inferencekey.lock").mkdir()
    with pytest.raises(OSError, match=r"inferencekey\.lock"):
        call(way, plane, "apply", plan)
    assert plane.rows == {}


@WAYS
def test_a_create_that_could_not_be_recorded_is_reported(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    def break_the_lock(request: Request) -> None:
        if request.method == "POST":
            (tmp_path / "inferencekey.lock").write_text("version = 2\n")

    plan = planned(way, plane, tmp_path, workload("one"))
    plane.before = break_the_lock
    with pytest.raises(DeploymentError, match="Not everything that was created is in") as caught:
        call(way, plane, "apply", plan)
    report = caught.value.report
    assert report is not None
    (step,) = report.failed
    assert (step.status, step.id) == (ApplyStatus.UNRECORDED, "w-1")
    assert "it was created (id w-1), but it could not be recorded in the lock file" in str(
        step.error
    )


@WAYS
def test_on_drift(way: str, plane: Plane, tmp_path: Path) -> None:
    plane.add("one", name="one", description="before")
    plan = planned(way, plane, tmp_path, workload("one", description="after"), workload("two"))
    with pytest.raises(DriftError, match=r"acme/one \(description\)"):
        call(way, plane, "apply", plan, on_drift="fail")
    report = call(way, plane, "apply", plan, on_drift="dry_run")
    assert report.not_done == ("acme/one", "acme/two")
    assert plane.count("POST") == plane.count("PATCH") == 0
    with pytest.warns(WorkloadDriftWarning, match=r"acme/one \(description\)") as warned:
        report = call(way, plane, "apply", plan, on_drift="warn")
    assert [warning.filename for warning in warned] == [str(Path(call.__code__.co_filename))]
    assert [one.workload_slug for one in report.drifted] == ["one"]
    assert (report.unchanged, str(report)) == (0, "1 created, 0 updated, 0 removed")
    plan = call(way, plane, "plan", tmp_path / "inferencekey.toml")
    report = call(way, plane, "apply", plan, on_drift="ignore")
    assert report.to_dict()["drifted"] == [
        {"project": "acme", "slug": "one", "fields": ["description"]}
    ]
    assert plane.count("PATCH") == 0


@WAYS
def test_pruning_with_an_empty_manifest_needs_allow_empty(
    way: str, plane: Plane, tmp_path: Path
) -> None:
    call(way, plane, "apply", planned(way, plane, tmp_path, workload("one")))
    plan = planned(way, plane, tmp_path, prune=True)
    assert plan.removes_everything
    with pytest.raises(ConfigurationError, match="allow_empty=True"):
        call(way, plane, "apply", plan)
    assert plane.slugs() == ["one"]
    call(way, plane, "apply", plan, allow_empty=True)
    assert plane.rows == {}
    assert lock(tmp_path) == {}


@WAYS
def test_a_workload_with_another_id_is_not_removed(way: str, plane: Plane, tmp_path: Path) -> None:
    call(way, plane, "apply", planned(way, plane, tmp_path, workload("one")))
    plan = planned(way, plane, tmp_path, prune=True)
    plane.rows.clear()
    plane.add("one")
    with pytest.raises(DeploymentError) as caught:
        call(way, plane, "apply", plan, allow_empty=True)
    report = caught.value.report
    assert report is not None
    assert [type(step.error) for step in report.failed] == [DriftError]
    assert plane.slugs() == ["one"]


@WAYS
@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_workloads_at_a_time_than_allowed(
    way: str, plane: Plane, tmp_path: Path, limit: int
) -> None:
    plan = planned(way, plane, tmp_path, *(workload(f"w-{n}") for n in range(12)))
    call(way, plane, "apply", plan, max_concurrency=limit)
    assert plane.most <= limit
    assert (plane.most > 1) == (limit > 1)
    with pytest.raises(ValidationError, match="max_concurrency"):
        call(way, plane, "apply", plan, max_concurrency=0)


def test_one_client_serves_a_plan_its_apply_and_the_wait(plane: Plane, tmp_path: Path) -> None:
    """The deployment does not close the client, and needs no other one."""
    plane.readiness = {"one": [{"phase": "ready", "message": "it is ready"}]}

    async def deploy() -> None:
        async with AsyncManagementClient(
            base_url=plane.url, project="acme", sdk_token=TOKEN, retry=RetryPolicy(base=0.01)
        ) as mgmt:
            deployment = AsyncDeployment(mgmt)
            plan = await deployment.plan(write(tmp_path, workload("one")))
            await deployment.apply(plan)
            for project, slugs in plan.slugs_by_project().items():
                await mgmt.wait_all(slugs, project=project, timeout=10, silent=True)

    asyncio.run(deploy())
    assert plane.count("GET", "/readiness-events") == 1
