"""A spec as a value: copies, dicts, TOML. ``manifest/test_dump.py`` has round trips of any spec."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import attrs
import pytest

from inferencekey.errors import ValidationError
from inferencekey.models import Backend, ExecutionPolicy, TaskType, WorkloadSpec
from inferencekey.models.spec import SpecChanges

SPEC = WorkloadSpec(name="Bot", slug="bot", model="m", backend="vllm")
KNOWN = "known: " + ", ".join(field.name for field in attrs.fields(WorkloadSpec))


def test_changes_are_typed_as_the_fields_are() -> None:
    assert list(SpecChanges.__annotations__) == [field.name for field in attrs.fields(WorkloadSpec)]


def test_a_changed_copy() -> None:
    assert SPEC.evolve(backend="ollama", command="c").backend is Backend.OLLAMA
    assert SPEC.evolve() == SPEC
    wrong: Any = {"modle": "x", "zzz": 1}
    with pytest.raises(ValidationError) as caught:
        SPEC.evolve(**wrong)
    assert str(caught.value) == (
        "validation error: modle is not a field of a spec; did you mean 'model'?; zzz is not a "
        "field of a spec; " + KNOWN
    )


def test_a_dict_has_the_declared_fields_as_plain_values() -> None:
    assert SPEC.to_dict() == {
        "name": "Bot",
        "slug": "bot",
        "model": "m",
        "backend": "vllm",
        "task_type": "text2text",
    }
    config = MappingProxyType({"a": (1, MappingProxyType({"b": TaskType.OMNI})), "n": None})
    found = SPEC.evolve(config=config, execution_policy=ExecutionPolicy.FIXED).to_dict()
    assert found["config"] == {"a": [1, {"b": "omni"}], "n": None}
    assert [type(value) for value in (found["config"], found["config"]["a"], found["backend"])] == [
        dict,
        list,
        str,
    ]
    assert list(found)[-2:] == ["config", "execution_policy"]
    assert SPEC.evolve(backend="my-own").to_dict()["backend"] == "my-own"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "name is required; slug is required; model is required; backend is required"),
        ({**SPEC.to_dict(), "modle": 1}, "modle is not a field of a spec; did you mean 'model'?"),
        (
            {**SPEC.to_dict(), "model": None, "config": []},
            "model is required; config must be a mapping; got list",
        ),
        (
            {**SPEC.to_dict(), "name": 5, "command": ["x"]},
            "name must be a string; got int; command must be a string; got list",
        ),
        ({**SPEC.to_dict(), "ik_live_a_b": 1}, f"ik… is not a field of a spec; {KNOWN}"),
        ({**SPEC.to_dict(), 5: 1}, f"5 is not a field of a spec; {KNOWN}"),
        ([], "a spec must be a mapping; got list"),
    ],
)
def test_rejects_a_dict_that_is_not_a_spec(values: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkloadSpec.from_dict(values)
    assert str(caught.value) == f"validation error: {text}"


def test_a_dict_may_contain_members_and_nulls() -> None:
    values = {**SPEC.to_dict(), "backend": Backend.VLLM, "task_type": None, "config": None}
    assert WorkloadSpec.from_dict(values) == SPEC


def test_toml() -> None:
    spec = SPEC.evolve(command="vllm serve m \\\n  --port 1\n", config={"env": {"A": "1"}})
    assert spec.to_toml() == (
        'name = "Bot"\nslug = "bot"\nmodel = "m"\nbackend = "vllm"\ntask_type = "text2text"\n'
        "command = '''\nvllm serve m \\\n  --port 1\n'''\n\n[config.env]\nA = \"1\"\n"
    )
    assert WorkloadSpec.from_toml(spec.to_toml()) == spec
    with pytest.raises(
        ValidationError, match="^validation error: the spec is not TOML: Invalid value"
    ):
        WorkloadSpec.from_toml("a = ")
    with pytest.raises(
        ValidationError, match="^validation error: config.a cannot be written as TOML: null$"
    ):
        SPEC.evolve(config={"a": None}).to_toml()
