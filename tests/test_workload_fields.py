"""The list of a workload's fields, against everything that must spell them out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import attrs
import pytest

from inferencekey._core.control.wire import workload
from inferencekey.local.records import StoredWorkload
from inferencekey.models import Backend, ExecutionPolicy, TaskType, Workload, WorkloadSpec
from inferencekey.models.spec import SPEC_FIELDS, SpecChanges
from inferencekey.models.workload_fields import (
    CONFIG_FIELDS,
    CREATE_FIELDS,
    REQUIRED_FIELDS,
    SERVER_FIELDS,
    UPDATE_FIELDS,
    WORKLOAD_FIELDS,
    WorkloadField,
)

BY_NAME = {field.name: field for field in WORKLOAD_FIELDS}


def python_type(field: WorkloadField, *, optional: bool) -> Any:
    """Return the annotation that a field's attribute must have."""
    kind: Any = Mapping[str, Any] if field.kind == "mapping" else str
    if field.values is not None:
        kind = field.values | str
    return kind | None if optional else kind


def test_every_field_is_an_attribute_of_a_spec() -> None:
    hints = get_type_hints(WorkloadSpec)
    attributes = attrs.fields_dict(WorkloadSpec)
    assert set(attributes) == set(BY_NAME)
    for name, field in BY_NAME.items():
        default = attrs.NOTHING if field.required_in_spec else field.default
        assert attributes[name].default == default
        assert hints[name] == python_type(field, optional=not field.required)


def test_the_fields_of_a_spec_come_in_the_order_of_its_class() -> None:
    names = [attribute.name for attribute in attrs.fields(WorkloadSpec)]
    assert [field.name for field in SPEC_FIELDS] == names
    assert list(SpecChanges.__annotations__) == names


def test_the_changes_of_a_spec_have_the_types_of_its_attributes() -> None:
    assert get_type_hints(SpecChanges) == {
        name: kind for name, kind in get_type_hints(WorkloadSpec).items() if name in BY_NAME
    }


def test_the_documentation_of_a_spec_is_the_documentation_of_its_fields() -> None:
    arguments = inspect.cleandoc(WorkloadSpec.__doc__ or "").partition("Args:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", arguments, re.MULTILINE)
    documented = {name: " ".join(text.split()) for name, text in found}
    assert documented == {field.name: field.doc for field in SPEC_FIELDS}


@pytest.mark.parametrize("kind", [Workload, StoredWorkload])
def test_every_field_of_a_body_is_an_attribute_of_a_stored_workload(kind: type) -> None:
    names = set(attrs.fields_dict(kind))
    assert {field.wire for field in CREATE_FIELDS} <= names
    assert names <= {field.wire for field in CREATE_FIELDS} | {*SERVER_FIELDS, "project", "raw"}


@pytest.mark.parametrize("field", CREATE_FIELDS, ids=lambda field: field.wire)
def test_a_field_of_a_response_becomes_an_attribute(field: WorkloadField) -> None:
    value: Any = {"a": 1} if field.kind == "mapping" else "of-a-newer-server"
    found = workload({"id": "1", "slug": "bot", field.wire: value})
    assert getattr(found, field.wire) == value
    for member in field.values or ():
        found = workload({"id": "1", "slug": "bot", field.wire: str(member)})
        assert getattr(found, field.wire) is member


def test_the_lists_that_derive_from_the_fields() -> None:
    assert [field.wire for field in CREATE_FIELDS] == [
        "name",
        "slug",
        "task_type",
        "backend",
        "model_name",
        "description",
        "config",
        "worker_id",
        "gpu_resource_id",
        "execution_policy",
        "execution_policy_config",
    ]
    assert [field.wire for field in REQUIRED_FIELDS] == [
        "name",
        "slug",
        "task_type",
        "backend",
        "model_name",
    ]
    assert [field.wire for field in CONFIG_FIELDS] == ["command", "vllm_version"]
    assert set(CREATE_FIELDS) - set(UPDATE_FIELDS) == {BY_NAME["slug"], BY_NAME["task_type"]}


def test_the_known_strings_of_fields() -> None:
    known = {field.name: field.values for field in WORKLOAD_FIELDS if field.values is not None}
    assert known == {
        "task_type": TaskType,
        "backend": Backend,
        "execution_policy": ExecutionPolicy,
    }


def test_only_vllm_has_a_vllm_version() -> None:
    field = BY_NAME["vllm_version"]
    assert [backend for backend in Backend if field.applies_to(backend)] == [
        Backend.VLLM,
        Backend.VLLM_OMNI,
    ]
    assert not field.applies_to("my-backend")
    assert BY_NAME["command"].applies_to("my-backend")
