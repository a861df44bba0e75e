"""The checks of the bodies of creates and updates, for every field of a workload."""

from __future__ import annotations

from typing import Any

import pytest
from platforms import workload_body

from inferencekey._core.control.specs import check_spec
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.local.control_plane.bodies import parse_create, parse_update
from inferencekey.local.records import StoredWorkload
from inferencekey.models import WorkloadSpec
from inferencekey.models.workload_fields import CREATE_FIELDS, UPDATE_FIELDS, WorkloadField

TOKEN = "ik_live_0123abcd_" + "5" * 64

CURRENT = StoredWorkload(
    id="1",
    project="acme",
    created_at="",
    updated_at="",
    **workload_body(execution_policy="fixed", execution_policy_config={"replicas": 1}),
)

STRINGS: list[Any] = [
    "plain",
    TOKEN,
    f"prefix-{TOKEN}",
    f"see {TOKEN}.",
    "ik_live_x",
    " ik_sdk_x",
    "uses an ik_live_ key, such as ik_live_x",
]
MAPPINGS: list[Any] = [
    {"args": string} for string in (*STRINGS, "--key=ik_live_x", "a ik_sdk_ key")
] + [{TOKEN: 1}, {"deep": [{"deeper": TOKEN}]}]

SECRETS = [
    (field, value)
    for field in CREATE_FIELDS
    if field.kind != "enum"
    for value in (MAPPINGS if field.kind == "mapping" else STRINGS)
]


def valid(field: WorkloadField) -> Any:
    """Return a valid value for the field."""
    known: dict[str, Any] = {"task_type": "embedding", "execution_policy": None}
    return known.get(field.wire, {} if field.kind == "mapping" else "a-value")


@pytest.mark.parametrize("field", CREATE_FIELDS, ids=lambda field: field.wire)
def test_every_field_can_be_created(field: WorkloadField) -> None:
    if field.wire == "execution_policy_config":
        body = workload_body(execution_policy="fixed", execution_policy_config={"replicas": 2})
    else:
        body = {**workload_body(), field.wire: valid(field)}
    slug, fields = parse_create(body)
    assert {"slug": slug, **fields} == body


@pytest.mark.parametrize("field", CREATE_FIELDS, ids=lambda field: field.wire)
def test_only_some_fields_can_be_updated(field: WorkloadField) -> None:
    value = {"replicas": 2} if field.wire == "execution_policy_config" else valid(field)
    if field in UPDATE_FIELDS:
        assert parse_update({field.wire: value}, CURRENT)[field.wire] == value
    else:
        with pytest.raises(ValidationError, match=f"{field.wire} cannot be changed"):
            parse_update({field.wire: value}, CURRENT)


@pytest.mark.parametrize("field", CREATE_FIELDS, ids=lambda field: field.wire)
@pytest.mark.parametrize("value", [5, ["x"], True])
def test_every_field_has_a_type(field: WorkloadField, value: Any) -> None:
    kind = "an object" if field.kind == "mapping" else "a string"
    with pytest.raises(ValidationError) as raised:
        parse_create({**workload_body(), field.wire: value})
    assert raised.value.detail == f"{field.wire} must be {kind}"


@pytest.mark.parametrize(("field", "value"), SECRETS, ids=lambda value: str(value)[:40])
def test_client_and_platform_refuse_the_same_secrets(field: WorkloadField, value: Any) -> None:
    spec = {"name": "n", "slug": "s", "model": "m", "backend": "vllm", field.name: value}
    client = platform = ""
    try:
        check_spec(WorkloadSpec(**spec))
    except (ConfigurationError, ValidationError) as error:
        client = error.detail
    try:
        parse_create({**workload_body(), field.wire: value})
    except ValidationError as error:
        platform = error.detail
    assert ("secrets must never go in specs" in client) == ("secrets must never" in platform)
    assert TOKEN not in client + platform


def test_the_message_names_the_place_of_a_secret_without_its_text() -> None:
    with pytest.raises(ValidationError) as raised:
        parse_create(workload_body(config={"env": [{"KEY": TOKEN}]}))
    expected = "config.env.0.KEY contains a token; secrets must never go in specs"
    assert raised.value.detail == expected
