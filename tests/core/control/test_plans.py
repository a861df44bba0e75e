"""Spec and live workload in, plan out."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.control.plans import (
    ORDER,
    create_body,
    declared,
    drift_error,
    is_stored,
    make_plan,
    moved_error,
    patch_body,
    plan_warnings,
    state_of,
)
from inferencekey._core.control.wire import workload
from inferencekey.errors import ResponseFormatError, ValidationError
from inferencekey.models import (
    Backend,
    ExecutionPolicy,
    FieldDiff,
    Plan,
    TaskType,
    Workload,
    WorkloadSpec,
)

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
        "name",
        "backend",
        "model_name",
        "description",
        "config",
        "worker_id",
        "gpu_resource_id",
        "execution_policy",
        "execution_policy_config",
    )
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


def test_the_plan_of_an_absent_workload_creates_every_declared_field() -> None:
    wanted = spec(command="vllm serve m", config={"a": 1})
    plan = make_plan(wanted, None, project="acme")
    assert attrs.evolve(plan, changes=()) == Plan("create", (), "acme", "support-bot", None, None)
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
    assert (
        create_body(spec(task_type=TaskType.RERANKER, backend="my-own"))["task_type"] == "reranker"
    )


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
def test_command_and_version_go_into_the_config_over_what_it_declares(
    given: dict[str, Any], config: Any
) -> None:
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
        (
            {"execution_policy": "fixed", "execution_policy_config": {}},
            {"execution_policy": "fixed"},
        ),
    ],
)
def test_no_drift(given: dict[str, Any], there: dict[str, Any]) -> None:
    plan = make_plan(spec(**given), live(**there), project="acme")
    assert plan == Plan("none", (), "acme", "support-bot", "w-1", state_of(live(**there)))


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
        (
            {"command": "c"},
            {"config": {"command": "b", "server": [1]}},
            {"config": {"command": "c", "server": [1]}},
        ),
        (
            {"config": {"a": {"b": 2}}},
            {"config": {"a": {"b": 1, "server": 1}, "other": {}}},
            {"config": {"a": {"b": 2, "server": 1}, "other": {}}},
        ),
        ({"config": {"a": [1]}}, {"config": {"a": [1, 2], "s": 1}}, {"config": {"a": [1], "s": 1}}),
        (
            {"config": {"a": [{"b": 1}]}},
            {"config": {"a": [{"b": 1, "server": 1}]}},
            {"config": {"a": [{"b": 1}]}},
        ),
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
def test_exactly_the_drifted_fields(
    given: dict[str, Any], there: dict[str, Any], patch: dict[str, Any]
) -> None:
    plan = make_plan(spec(**given), live(**there), project="acme")
    assert (plan.action, plan.workload_id, plan.workload_slug) == ("update", "w-1", "support-bot")
    assert patch_body(plan) == patch
    (change,) = plan.changes
    assert change.before == there.get(change.field, LIVE.get(change.field))


@pytest.mark.parametrize(
    ("given", "patch"),
    [
        # The kind changes, so its config is sent as declared, even if equal, without the old keys.
        (
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1}},
            {"execution_policy": "fixed", "execution_policy_config": {"replicas": 1}},
        ),
        (
            {
                "execution_policy": "fixed",
                "execution_policy_config": {"cron": "0 2 * * *", "zone": "eu"},
            },
            {
                "execution_policy": "fixed",
                "execution_policy_config": {"cron": "0 2 * * *", "zone": "eu"},
            },
        ),
        (
            {"execution_policy": "fixed", "execution_policy_config": {}},
            {"execution_policy": "fixed", "execution_policy_config": {}},
        ),
        ({"execution_policy": "fixed"}, {"execution_policy": "fixed"}),
    ],
)
def test_a_change_of_policy(given: dict[str, Any], patch: dict[str, Any]) -> None:
    there = live(
        execution_policy="scheduled", execution_policy_config={"cron": "0 2 * * *", "zone": "eu"}
    )
    assert changes(spec(**given), there) == patch


def test_a_diff_has_plain_values_before_and_after() -> None:
    plan = make_plan(spec(backend=Backend.OLLAMA), live(), project="acme")
    assert plan.changes == (FieldDiff("backend", "vllm", "ollama"),)
    assert type(plan.changes[0].before) is str
    assert drift_error(plan).plan is plan


SORTED = orjson.OPT_SORT_KEYS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
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
def test_after_an_update_there_is_no_drift_and_no_key_is_lost(
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
        if isinstance(value, dict) and not (
            field == "execution_policy_config" and "execution_policy" in patch
        ):
            assert survives(stored[field], value, after[field])


@given(SPECS)
def test_a_workload_just_created_has_no_drift(wanted: WorkloadSpec) -> None:
    assert (
        make_plan(wanted, workload({"id": "w-1", **create_body(wanted)}), project="acme").action
        == "none"
    )


# What a plan was made from.


def test_the_state_covers_the_id_and_every_field_that_can_drift() -> None:
    there = live(config={"b": 1, "a": 2}, description="d")
    state = state_of(there)
    assert len(state) == 80
    assert int(state, 16) >= 0
    assert state == state_of(
        live(description="d", config={"a": 2, "b": 1}, task_type="reranker", updated_at=None)
    )
    others: dict[str, Any] = {
        field: {"c": 1} if "config" in field else "other" for field in ("id", *ORDER)
    }
    assert (
        len(
            {
                state,
                *(
                    state_of(attrs.evolve(there, **{field: value}))
                    for field, value in others.items()
                ),
            }
        )
        == 11
    )


def test_a_create_applies_while_there_is_no_workload() -> None:
    plan = make_plan(spec(command="c"), None, project="acme")
    assert moved_error(plan, None) is None
    error = moved_error(plan, live(name="Other"))
    assert str(error) == "workload drifted from plan: 'support-bot' exists now. Plan again."
    assert error is not None
    assert error.plan is not None
    assert [change.field for change in error.plan.changes] == ["name", "config"]
    assert (error.plan.action, error.plan.workload_id) == ("update", "w-1")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ({"description": "d"}, "was changed since: description"),
        ({"name": "B", "config": {"command": "b"}}, "was changed since: name, config"),
        ({"id": "w-2"}, "was deleted and created again"),
        (None, "does not exist any more"),
    ],
)
@pytest.mark.parametrize("wanted", [{"command": "c"}, {}])
def test_what_has_changed_since_a_plan(
    wanted: dict[str, Any], there: dict[str, Any] | None, why: str
) -> None:
    plan = make_plan(spec(**wanted), live(), project="acme")
    assert moved_error(plan, live(task_type="reranker", updated_at="2026-11-21T20:00:00Z")) is None
    error = moved_error(plan, None if there is None else live(**there))
    assert str(error) == f"workload drifted from plan: 'support-bot' {why}. Plan again."
    assert error is not None
    assert (error.plan is None) == (there is None or not wanted)


@given(SPECS, STORED, STORED)
def test_a_plan_is_refused_exactly_if_a_field_that_can_drift_has_changed(
    wanted: WorkloadSpec, stored: dict[str, Any], now: dict[str, Any]
) -> None:
    plan = make_plan(wanted, workload(stored), project="acme")
    fields = [
        field
        for field in ORDER
        if orjson.dumps(stored[field], option=SORTED) != orjson.dumps(now[field], option=SORTED)
    ]
    error = moved_error(plan, workload(now))
    assert (error is None) == (not fields)
    if error is not None:
        assert f"was changed since: {', '.join(fields)}. Plan again." in str(error)


@given(SPECS, STORED)
def test_a_plan_that_was_carried_out_is_stored(
    wanted: WorkloadSpec, stored: dict[str, Any]
) -> None:
    plan = make_plan(wanted, workload(stored), project="acme")
    assert is_stored(plan, workload(stored)) == (plan.action == "none")
    assert is_stored(plan, workload({**stored, **patch_body(plan)}))
    assert Plan.from_dict(orjson.loads(orjson.dumps(plan.to_dict()))) == plan


CREATABLE = SPECS.filter(
    lambda spec: spec.execution_policy is not None or spec.execution_policy_config is None
)


@given(CREATABLE)
def test_a_create_that_was_carried_out_is_stored(wanted: WorkloadSpec) -> None:
    plan = make_plan(wanted, None, project="acme")
    assert is_stored(plan, workload({"id": "w-1", **create_body(wanted)}))
    assert Plan.from_dict(orjson.loads(orjson.dumps(plan.to_dict()))) == plan


@given(SPECS, STORED)
def test_a_printed_plan_shows_every_change(wanted: WorkloadSpec, stored: dict[str, Any]) -> None:
    plan = make_plan(wanted, workload(stored), project="acme")
    lines = plan.lines()
    assert str(plan).split("\n") == [str(line) for line in lines]
    for change in plan.changes:
        assert any(line.text.lstrip().startswith(change.field) for line in lines[1:]), change


@pytest.mark.parametrize("config", [None, {"a": 1}])
def test_rejects_a_response_that_is_nested_too_deeply(
    config: dict[str, Any] | None,
) -> None:
    deep = orjson.loads(b'{"a":' * 300 + b"1" + b"}" * 300)
    wanted = WorkloadSpec(name="a", slug="a", model="m", backend="vllm", config=config)
    with pytest.raises(
        ResponseFormatError, match="the config of workload 'a' is nested too deeply"
    ):
        make_plan(
            wanted, workload({**create_body(wanted), "id": "w-1", "config": deep}), project="acme"
        )


@pytest.mark.parametrize("config", [{"max_workers": 3}, {}])
def test_settings_without_a_kind_can_update_and_cannot_create(config: dict[str, Any]) -> None:
    wanted = spec(execution_policy_config=config)
    with pytest.raises(ValidationError) as caught:
        make_plan(wanted, None, project="acme")
    assert str(caught.value) == (
        "validation error: workload 'support-bot' does not exist yet, so its "
        "execution_policy_config needs an execution_policy; add one"
    )
    there = live(
        execution_policy="autoscaling", execution_policy_config={"max_workers": 2, "min_workers": 1}
    )
    assert make_plan(wanted, there, project="acme").action == ("update" if config else "none")


def test_warns_of_a_difference_that_no_plan_can_remove() -> None:
    other = spec(task_type="embedding")
    assert plan_warnings(spec(), live()) == plan_warnings(other, None) == ()
    assert plan_warnings(other, live()) == (
        "workload 'support-bot' has the task_type 'text2text', but the spec has 'embedding'; "
        "task_type cannot be changed: delete the workload, or use another slug",
    )
    assert (
        make_plan(other, live(), project="acme").action
        == make_plan(spec(), live(), project="acme").action
    )
