"""Spec and live workload in, plan out."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.reconcile import ORDER, create_body, declared, drift_error, make_plan, patch_body
from inferencekey._core.wire import workload
from inferencekey.errors import ValidationError
from inferencekey.models import Backend, ExecutionPolicy, FieldDiff, Plan, TaskType, Workload, WorkloadSpec

BASE = {"name": "Bot", "slug": "Support Bot", "model": "m", "backend": "vllm"}
LIVE = {
    "id": "w-1",
    "slug": "support-bot",
    "name": "Bot",
    "model_name": "m",
    "backend": "vllm",
    "task_type": "text2text",
}


def spec(**given: Any) -> WorkloadSpec:
    return WorkloadSpec(**{**BASE, **given})


def live(**fields: Any) -> Workload:
    return workload({**LIVE, **fields})


def changes(wanted: WorkloadSpec, there: Workload) -> dict[str, Any]:
    return patch_body(make_plan(wanted, there, project="acme"))


def test_the_order_is_the_contracts() -> None:
    assert ORDER == (
        "name", "backend", "model_name", "description", "config", "worker_id", "gpu_resource_id", "execution_policy",
        "execution_policy_config",
    )  # fmt: skip
    everything = spec(
        name="New",
        backend=Backend.SGLANG,
        model="n",
        description="d",
        command="c",
        worker_id="w",
        gpu_resource_id="g",
        execution_policy="fixed",
        execution_policy_config={"replicas": 1},
    )
    assert tuple(declared(everything)) == ORDER
    plan = make_plan(everything, live(), project="acme")
    assert tuple(change.field for change in plan.changes) == ORDER
    assert str(drift_error(plan)) == "workload drifted from spec: " + ", ".join(ORDER)


def test_absent_is_a_create_of_every_declared_field() -> None:
    wanted = spec(command="vllm serve m", config={"a": 1})
    plan = make_plan(wanted, None, project="acme")
    assert (plan.action, plan.project_slug, plan.workload_slug, plan.workload_id) == (
        "create",
        "acme",
        "support-bot",
        None,
    )
    assert patch_body(plan) == create_body(wanted)
    assert all(change.before is None for change in plan.changes)


def test_the_create_body_has_the_required_fields_and_only_what_is_declared() -> None:
    assert create_body(spec()) == {
        "name": "Bot",
        "slug": "support-bot",
        "task_type": "text2text",
        "backend": "vllm",
        "model_name": "m",
    }
    assert create_body(spec(task_type=TaskType.RERANKER, backend="my-own"))["task_type"] == "reranker"


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({}, None),
        ({"command": "c"}, {"command": "c"}),
        ({"vllm_version": "0.9"}, {"vllm_version": "0.9"}),
        ({"config": {"a": 1}}, {"a": 1}),
        ({"config": {}}, {}),
        (
            {"config": {"command": "old", "a": 1}, "command": "new", "vllm_version": "1"},
            {"command": "new", "a": 1, "vllm_version": "1"},
        ),
        ({"command": ""}, {"command": ""}),
    ],
)
def test_command_and_version_go_into_the_config_over_what_it_declares(given: dict[str, Any], config: Any) -> None:
    wanted = spec(**given)
    assert declared(wanted).get("config") == config
    assert wanted.config == given.get("config"), "the spec is not changed"


def test_a_body_is_plain_json() -> None:
    wanted = spec(
        backend=Backend.VLLM,
        execution_policy=ExecutionPolicy.FIXED,
        config=MappingProxyType({"a": (Backend.VLLM, MappingProxyType({1: 2}))}),
        execution_policy_config=MappingProxyType({"replicas": 2}),
    )
    body = create_body(wanted)
    assert orjson.loads(orjson.dumps(body)) == body
    assert body["config"] == {"a": ["vllm", {"1": 2}]}
    assert type(body["backend"]) is str
    assert type(body["config"]["a"][0]) is str
    with pytest.raises(ValidationError, match="config cannot be sent as JSON"):
        create_body(spec(config={"a": {1}}))


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ({}, {}),
        ({}, {"description": "d", "config": {"a": 1}, "worker_id": "w", "gpu_resource_id": "g"}),
        ({}, {"execution_policy": "scheduled", "execution_policy_config": {"cron": "0 2 * * *"}}),
        ({"task_type": "embedding"}, {"task_type": "reranker"}),
        ({"project": "other"}, {"project_id": "p-1"}),
        ({"config": {}}, {"config": None}),
        ({"config": {}}, {"config": {"a": 1}}),
        ({"config": {"a": 1}}, {"config": {"a": 1, "server": "only"}}),
        ({"config": {"a": {"b": 1}}}, {"config": {"a": {"b": 1, "server": "only"}}}),
        ({"config": {"a": {}}}, {"config": {"a": {"server": "only"}}}),
        ({"config": {"a": (1, 2)}}, {"config": {"a": [1, 2]}}),
        ({"config": {"a": 1}}, {"config": {"a": 1.0}}),
        ({"config": {1: None}}, {"config": {"1": None}}),
        ({"backend": "my-own"}, {"backend": "my-own"}),
        ({"execution_policy": "fixed", "execution_policy_config": {}}, {"execution_policy": "fixed"}),
    ],
)
def test_no_drift(given: dict[str, Any], there: dict[str, Any]) -> None:
    plan = make_plan(spec(**given), live(**there), project="acme")
    assert plan == Plan("none", (), "acme", "support-bot", "w-1")


@pytest.mark.parametrize(
    ("given", "there", "patch"),
    [
        ({"name": "New"}, {}, {"name": "New"}),
        ({"backend": "ollama"}, {}, {"backend": "ollama"}),
        ({"model": "n"}, {}, {"model_name": "n"}),
        ({"description": "d"}, {}, {"description": "d"}),
        ({"description": ""}, {"description": "d"}, {"description": ""}),
        ({"worker_id": "w"}, {"worker_id": "v"}, {"worker_id": "w"}),
        ({"gpu_resource_id": "g"}, {}, {"gpu_resource_id": "g"}),
        ({"command": "c"}, {}, {"config": {"command": "c"}}),
        ({"command": "c"}, {"config": {"command": "b", "server": [1]}}, {"config": {"command": "c", "server": [1]}}),
        (
            {"config": {"a": {"b": 2}}},
            {"config": {"a": {"b": 1, "server": 1}, "other": {}}},
            {"config": {"a": {"b": 2, "server": 1}, "other": {}}},
        ),
        ({"config": {"a": [1]}}, {"config": {"a": [1, 2], "s": 1}}, {"config": {"a": [1], "s": 1}}),
        ({"config": {"a": [{"b": 1}]}}, {"config": {"a": [{"b": 1, "server": 1}]}}, {"config": {"a": [{"b": 1}]}}),
        ({"config": {"a": [1, 2]}}, {"config": {"a": [2, 1]}}, {"config": {"a": [1, 2]}}),
        ({"config": {"a": {"b": 1}}}, {"config": {"a": "text"}}, {"config": {"a": {"b": 1}}}),
        ({"config": {"a": "text"}}, {"config": {"a": {"b": 1}}}, {"config": {"a": "text"}}),
        ({"config": {"a": True}}, {"config": {"a": 1}}, {"config": {"a": True}}),
        ({"config": {"a": 0}}, {"config": {"a": False}}, {"config": {"a": 0}}),
        ({"config": {"a": "1"}}, {"config": {"a": 1}}, {"config": {"a": "1"}}),
        ({"config": {"a": None}}, {"config": {"a": 1}}, {"config": {"a": None}}),
        ({"config": {"a": []}}, {"config": {}}, {"config": {"a": []}}),
        (
            {"execution_policy_config": {"replicas": 2}},
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1, "zone": "eu"}},
            {"execution_policy_config": {"replicas": 2, "zone": "eu"}},
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 2}},
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1, "zone": "eu"}},
            {"execution_policy_config": {"replicas": 2, "zone": "eu"}},
        ),
    ],
)
def test_exactly_the_drifted_fields(given: dict[str, Any], there: dict[str, Any], patch: dict[str, Any]) -> None:
    plan = make_plan(spec(**given), live(**there), project="acme")
    assert (plan.action, plan.workload_id, plan.workload_slug) == ("update", "w-1", "support-bot")
    assert patch_body(plan) == patch
    (change,) = plan.changes
    assert change.before == there.get(change.field, LIVE.get(change.field))


@pytest.mark.parametrize(
    ("given", "patch"),
    [
        # The kind changes: its config goes along as declared, even if equal, and without the old kind's keys.
        (
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1}},
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1}},
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {"cron": "0 2 * * *", "zone": "eu"}},
            {"execution_policy": "fixed", "execution_policy_config": {"cron": "0 2 * * *", "zone": "eu"}},
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {}},
            {"execution_policy": "fixed", "execution_policy_config": {}},
        ),
        ({"execution_policy": "fixed"}, {"execution_policy": "fixed"}),
    ],
)
def test_a_change_of_policy(given: dict[str, Any], patch: dict[str, Any]) -> None:
    there = live(execution_policy="scheduled", execution_policy_config={"cron": "0 2 * * *", "zone": "eu"})
    assert changes(spec(**given), there) == patch


def test_a_diff_tells_before_and_after_in_plain_values() -> None:
    plan = make_plan(spec(backend=Backend.OLLAMA), live(), project="acme")
    assert plan.changes == (FieldDiff("backend", "vllm", "ollama"),)
    assert type(plan.changes[0].before) is str
    assert drift_error(plan).plan is plan


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
CONFIGS = st.none() | st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)
TEXTS = st.none() | st.sampled_from(["", "x", "y"])
POLICIES = st.none() | st.sampled_from([*ExecutionPolicy])

SPECS = st.builds(
    WorkloadSpec,
    name=st.sampled_from(["A", "B"]),
    slug=st.just("bot"),
    model=st.sampled_from(["m", "n"]),
    backend=st.sampled_from([*Backend, "my-own"]),
    task_type=st.sampled_from([*TaskType]),
    description=TEXTS,
    command=TEXTS,
    vllm_version=TEXTS,
    config=CONFIGS,
    worker_id=TEXTS,
    gpu_resource_id=TEXTS,
    execution_policy=POLICIES,
    execution_policy_config=CONFIGS,
)
STORED = st.fixed_dictionaries(
    {
        "id": st.just("w-1"),
        "slug": st.just("bot"),
        "name": st.sampled_from(["A", "B"]),
        "model_name": st.sampled_from(["m", "n"]),
        "backend": st.sampled_from(["vllm", "my-own"]),
        "description": TEXTS,
        "config": CONFIGS,
        "worker_id": TEXTS,
        "gpu_resource_id": TEXTS,
        "execution_policy": POLICIES.map(lambda kind: kind and str(kind)),
        "execution_policy_config": CONFIGS,
    }
)


def survives(before: Any, wanted: Any, after: Any) -> bool:
    """Whether every key of *before* that *wanted* does not declare is in *after*, unchanged."""
    if not isinstance(before, dict) or not isinstance(wanted, dict):
        return True
    return all(
        survives(value, wanted[key], after[key]) if key in wanted else after[key] == value
        for key, value in before.items()
    )


@given(SPECS, STORED)
def test_an_update_carried_out_leaves_nothing_to_do_and_loses_nothing(
    wanted: WorkloadSpec, stored: dict[str, Any]
) -> None:
    plan = make_plan(wanted, workload(stored), project="acme")
    patch = patch_body(plan)
    assert (plan.action == "none") == (not patch)
    assert list(patch) == [field for field in ORDER if field in patch]
    assert patch.keys() <= declared(wanted).keys(), "an absent field never drifts"

    after = {**stored, **patch}
    assert make_plan(wanted, workload(after), project="acme").action == "none"
    for field, value in declared(wanted).items():
        if isinstance(value, dict) and not (field == "execution_policy_config" and "execution_policy" in patch):
            assert survives(stored[field], value, after[field])


@given(SPECS)
def test_a_workload_just_created_has_no_drift(wanted: WorkloadSpec) -> None:
    assert make_plan(wanted, workload({"id": "w-1", **create_body(wanted)}), project="acme").action == "none"
