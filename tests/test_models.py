"""The values: frozen, with the contract's wire strings, and readable."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from inferencekey import models
from inferencekey.errors import ValidationError
from inferencekey.models import (
    Backend,
    EndpointRef,
    ExecutionPolicy,
    FieldDiff,
    OnDrift,
    Phase,
    Plan,
    RetryPolicy,
    TaskType,
    Timeouts,
    Workload,
    WorkloadSpec,
    known_or_text,
    member,
)


@pytest.mark.parametrize(
    ("kind", "strings"),
    [
        (Backend, "ollama vllm vllm-omni sglang llamacpp stablediffusioncpp"),
        (
            TaskType,
            "text2text embedding text2image text2video text2audio image2image image2video "
            "audio2text omni reranker "
            "classification reward forecast",
        ),
        (OnDrift, "reconcile fail dry_run warn ignore"),
        (ExecutionPolicy, "fixed scheduled autoscaling"),
        (Phase, "scheduling provisioning bootstrapping ready error"),
    ],
)
def test_the_wire_strings(kind: Any, strings: str) -> None:
    assert [str(one) for one in kind] == strings.split()
    for one in kind:
        assert (
            member(kind, one, "x")
            is member(kind, str(one), "x")
            is known_or_text(kind, str(one))
            is one
        )


def test_the_backends_names() -> None:
    assert [one.name for one in Backend] == [
        "OLLAMA",
        "VLLM",
        "VLLM_OMNI",
        "SGLANG",
        "LLAMACPP",
        "STABLE_DIFFUSION_CPP",
    ]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("Reconcile", "; did you mean 'reconcile'?"),
        ("dry-run", "; did you mean 'dry_run'?"),
        (" fail", "; did you mean 'fail'?"),
        ("", ""),
        ("moon", ""),
        (None, ""),
        (5, ""),
        (["fail"], ""),
    ],
)
def test_rejects_a_string_that_is_not_a_member_and_names_the_allowed_ones(
    value: object, meant: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        member(OnDrift, value, "on_drift")
    assert str(caught.value) == (
        "validation error: on_drift must be one of reconcile, fail, dry_run, warn, ignore; "
        f"got {value!r}{meant}"
    )


def test_an_unknown_string_stays_a_string() -> None:
    assert known_or_text(Backend, "my-own") == "my-own"


def spec(**given: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": "n", "slug": "s", "model": "m", "backend": "vllm", **given})


def test_a_spec_takes_members_and_strings() -> None:
    one = spec(task_type="embedding", execution_policy="fixed")
    assert one == spec(
        backend=Backend.VLLM, task_type=TaskType.EMBEDDING, execution_policy=ExecutionPolicy.FIXED
    )
    assert one.backend is Backend.VLLM
    assert one.task_type is TaskType.EMBEDDING
    assert one.execution_policy is ExecutionPolicy.FIXED
    assert spec().task_type is TaskType.TEXT2TEXT
    assert spec().execution_policy is None
    assert spec(backend="my-own").backend == "my-own"


def test_a_spec_is_checked_only_when_it_is_used() -> None:
    assert spec(name="", backend=5, task_type=[]).name == ""


def test_a_spec_evolves() -> None:
    assert spec().evolve(model="other", backend="ollama") == spec(
        model="other", backend=Backend.OLLAMA
    )


@pytest.mark.parametrize(
    "value",
    [
        spec(),
        Workload(id="w", slug="s"),
        EndpointRef("a", "b"),
        Plan("none"),
        FieldDiff("name", 1, 2),
        Timeouts(),
        RetryPolicy(),
        models.TextResult("a"),
        models.TextChunk("a"),
        models.EmbeddingResult([[1.0]]),
        models.RerankResult((models.RerankItem(0, 1.0),)),
        models.Usage(1, 2, 3),
        models.ReadinessEvent(Phase.READY),
        models.EngineLog(("a",), 2, "llama-server"),
        models.PlanLine("+", "a"),
    ],
)
def test_values_are_frozen_and_pickle(value: Any) -> None:
    name = attrs.fields(type(value))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, None)
    assert pickle.loads(pickle.dumps(value)) == value


def test_equality_of_a_reference_ignores_its_plan() -> None:
    one, other = (
        EndpointRef("a", "b", Plan("none")),
        EndpointRef("a", "b", Plan("create", (FieldDiff("config", None, {}),))),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != EndpointRef("a", "c")
    assert repr(one) == "EndpointRef(project_slug='a', workload_slug='b')"


def test_a_workload_ignores_and_hides_its_raw() -> None:
    one = Workload(id="w", slug="s", raw={"new": 1})
    assert one == Workload(id="w", slug="s")
    assert "new" not in repr(one)


def test_the_repr_of_a_result_is_short() -> None:
    assert repr(models.EmbeddingResult([[1.5]] * 100, "m", raw={"data": []})) == (
        "EmbeddingResult(embeddings=<100 of 1 floats>, model='m', usage=None, request_id=None)"
    )
    assert "raw" not in repr(models.TextResult("a", raw={})) + repr(models.TextChunk("a", raw={}))


@pytest.mark.parametrize("name", ["connect", "first_byte", "read", "total", "keepalive"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "5", True])
def test_wrong_deadlines(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Timeouts(**{name: value})
    assert (
        str(caught.value)
        == f"validation error: {name} must be a number of seconds above 0, or None; got {value!r}"
    )
    assert getattr(Timeouts(**{name: None}), name) is None


def test_the_first_byte_has_more_time_than_a_gateway_may_hold_a_call() -> None:
    assert Timeouts().first_byte is not None
    assert Timeouts().first_byte > 60


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None])
def test_wrong_attempts(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RetryPolicy(max_attempts=value)
    assert (
        str(caught.value)
        == f"validation error: max_attempts must be an integer of at least 1; got {value!r}"
    )


@pytest.mark.parametrize("name", ["base", "cap", "retry_after_cap", "budget", "budget_gain"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), "1", None, True])
def test_wrong_waits(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RetryPolicy(**{name: value})
    assert (
        str(caught.value)
        == f"validation error: {name} must be a number of at least 0; got {value!r}"
    )
    assert getattr(RetryPolicy(**{name: 0}), name) == 0


def test_the_defaults_of_the_design() -> None:
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.budget, policy.budget_gain) == (3, 10, 0.2)
    assert policy.retry_after_cap >= 30


def test_the_public_names() -> None:
    for name in models.__all__:
        assert getattr(models, name)
