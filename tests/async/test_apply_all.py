"""``apply_all``, async and sync, against a control plane over real sockets."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from faults.plane import Plane
from faults.plane import call as plainly
from faults.server import Request

from inferencekey import (
    ApplyAllError,
    AuthError,
    DriftError,
    EndpointRef,
    Plan,
    RetryPolicy,
    ServerError,
    ValidationError,
    WorkloadSpec,
)

WAYS = pytest.mark.parametrize("way", ["async", "sync"])

call = functools.partial(plainly, retry=RetryPolicy(base=0.01))


@pytest.fixture
def plane() -> Iterator[Plane]:
    with Plane() as server:
        yield server


def spec(slug: str, **fields: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": slug, "slug": slug, "model": "m", "backend": "ollama", **fields})


def plans(way: str, plane: Plane, *specs: WorkloadSpec) -> list[Plan]:
    """Return the plan of each spec."""
    refs = call(way, plane, "ensure_all", specs, on_drift="dry_run")
    return [ref.plan for ref in refs]


@WAYS
def test_all_plans_are_applied_in_order_with_one_list_of_each_project(
    way: str, plane: Plane
) -> None:
    plane.add("same", name="same")
    plane.add("old", name="before")
    specs = [*(spec(f"new-{n}") for n in range(9)), spec("old"), spec("same")]
    made = plans(way, plane, *specs, spec("else", project="b"))
    before = plane.count("GET")
    refs = call(way, plane, "apply_all", iter(made))
    assert refs == [EndpointRef(plan.project_slug, plan.workload_slug) for plan in made]
    assert [ref.plan.action for ref in refs] == ["create"] * 9 + ["update", "none", "create"]
    assert all(ref.plan.workload_id for ref in refs)
    assert [ref.plan.digest for ref in refs] == [plan.digest for plan in made]
    assert plane.count("GET") - before == 2
    assert (plane.count("POST"), plane.count("PATCH")) == (10, 1)
    assert (len(plane.slugs()), plane.slugs("b")) == (11, ["else"])
    assert call(way, plane, "apply_all", []) == []


@WAYS
def test_a_plan_that_fails_does_not_stop_the_others(way: str, plane: Plane) -> None:
    made = plans(way, plane, *(spec(slug) for slug in ("a", "moved", "b", "broken", "c")))
    plane.add("moved", name="another")
    plane.refusals = {("POST", "broken"): 500}
    with pytest.raises(ApplyAllError) as caught:
        call(way, plane, "apply_all", made, max_concurrency=2)
    error = caught.value
    assert str(error) == "2 of 5 workloads failed: moved, broken (3 were applied)"
    assert [None if ref is None else ref.workload_slug for ref in error.results] == [
        "a",
        None,
        "b",
        None,
        "c",
    ]
    members: Any = error.exceptions
    assert [(type(e), e.workload, e.__notes__) for e in members] == [
        (DriftError, "moved", ["workload 'moved'"]),
        (ServerError, "broken", ["workload 'broken'"]),
    ]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert plane.slugs() == ["a", "b", "c", "moved"]


@WAYS
def test_a_project_that_cannot_be_listed(way: str, plane: Plane) -> None:
    made = plans(way, plane, spec("a"), spec("b"), spec("x", project="c"))
    plane.refusals = {("LIST", "acme"): 401}
    with pytest.raises(AuthError):
        call(way, plane, "apply_all", made[:2])
    assert plane.count("POST") == 0
    with pytest.raises(ApplyAllError) as caught:
        call(way, plane, "apply_all", made)
    assert str(caught.value) == "2 of 3 workloads failed: acme/a, acme/b (1 was applied)"
    assert plane.slugs("c") == ["x"]


@WAYS
def test_no_more_are_under_way_than_allowed(way: str, plane: Plane) -> None:
    made = plans(way, plane, *(spec(f"w-{n}") for n in range(12)))
    call(way, plane, "apply_all", made, max_concurrency=3)
    assert 1 < plane.most <= 3


@WAYS
@pytest.mark.parametrize("honours_keys", [True, False])
def test_a_lost_response_leaves_one_workload_of_each(
    way: str, plane: Plane, honours_keys: bool
) -> None:
    made = plans(way, plane, *(spec(slug) for slug in "abcd"))
    plane.lose, plane.honours_keys = 2, honours_keys
    refs = call(way, plane, "apply_all", made)
    assert [ref.workload_slug for ref in refs] == plane.slugs() == ["a", "b", "c", "d"]


@WAYS
def test_a_caller_that_creates_one_after_the_list_keeps_its_workload(
    way: str, plane: Plane
) -> None:
    """The list is older than the create: the platform's response to the create decides."""
    made = plans(way, plane, spec("a"), spec("b"))

    def create_first(request: Request) -> None:
        if request.method == "POST" and request.json["slug"] == "a" and "a" not in plane.slugs():
            plane.add("a", name="another's")

    plane.before = create_first
    with pytest.raises(ApplyAllError, match=r"^1 of 2 workloads failed: a \(1 was applied\)$"):
        call(way, plane, "apply_all", made)
    assert plane.slugs() == ["a", "b"]
    assert [row["name"] for row in plane.rows.values() if row["slug"] == "a"] == ["another's"]


@WAYS
def test_wrong_plans_are_refused_before_any_request(way: str, plane: Plane) -> None:
    create = plans(way, plane, spec("a"))[0]
    plane.requests.clear()
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (None, {}, "plans must be a list of Plan; got NoneType"),
        (create, {}, "plans must be a list of Plan; got Plan"),
        (["x"], {}, r"plans\[0\]: plan must be a Plan; got str"),
        ([create, create], {}, r"plans\[1\]: is for the same workload as plans\[0\]: 'a' in"),
        ([Plan("create", (), "acme", "a"), "x"], {}, "2 problems in the plans"),
        ([create], {"max_concurrency": 0}, "max_concurrency must be"),
    ]
    for given, options, text in cases:
        with pytest.raises(ValidationError, match=text):
            call(way, plane, "apply_all", given, **options)
    assert not plane.requests
