"""The checks of the body of a create or an update, before anything is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from inferencekey._core.control.commands import command_problem
from inferencekey._core.control.policies import check_policy
from inferencekey._core.control.specs import secret_problems
from inferencekey._core.slugs import canonical_slug, checked_slug
from inferencekey.errors import ValidationError
from inferencekey.local.records import StoredWorkload
from inferencekey.models import member
from inferencekey.models.workload_fields import (
    CONFIG_FIELDS,
    CREATE_FIELDS,
    REQUIRED_FIELDS,
    SERVER_FIELDS,
    UPDATE_FIELDS,
    WorkloadField,
)

__all__ = ["parse_create", "parse_update"]

_CREATABLE: Final = {field.wire: field for field in CREATE_FIELDS}
_UPDATABLE: Final = {field.wire: field for field in UPDATE_FIELDS}
_FIXED: Final = {*SERVER_FIELDS, *(_CREATABLE.keys() - _UPDATABLE.keys())}


def parse_create(body: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """Return the canonical slug and the fields to store.

    Raises:
        ValidationError: a field is missing, unknown or invalid; the message names it.
    """
    _refuse_unknown(body, _CREATABLE)
    for field in REQUIRED_FIELDS:
        if field.wire not in body:
            raise ValidationError.of(f"{field.wire} is required")
    _check_values(body)
    check_policy(
        cast("str | None", body.get("execution_policy")),
        cast("Mapping[str, Any] | None", body.get("execution_policy_config")),
    )
    fields = dict(body)
    slug = checked_slug(cast("str", fields.pop("slug")))
    return slug, fields


def parse_update(body: Mapping[str, object], current: StoredWorkload) -> dict[str, Any]:
    """Return the changes to store.

    Args:
        body: the fields that were sent.
        current: the workload before the change. If only a part of the policy was sent, the policy
            is checked together with the other part of the current one.

    Raises:
        ValidationError: a field is unknown, invalid, or cannot be changed; the message names it.
    """
    for name in body:
        if name in _FIXED:
            raise ValidationError.of(f"{name} cannot be changed")
    _refuse_unknown(body, _UPDATABLE)
    _check_values(body)
    changes: dict[str, Any] = dict(body)
    if "execution_policy" in changes or "execution_policy_config" in changes:
        kind = changes.get("execution_policy", current.execution_policy)
        if kind != current.execution_policy:
            # The config of another kind of policy is not valid for the new kind.
            changes.setdefault("execution_policy_config", None)
        check_policy(kind, changes.get("execution_policy_config", current.execution_policy_config))
    return changes


def _refuse_unknown(body: Iterable[str], known: Mapping[str, WorkloadField]) -> None:
    for name in body:
        if name not in known:
            raise ValidationError.of(f"{name} is not a field of a workload")


def _check_values(body: Mapping[str, object]) -> None:
    """Check the fields of a body, in the order of the contract."""
    for field in CREATE_FIELDS:
        if field.wire in body:
            _check_value(field, body[field.wire])


def _check_value(field: WorkloadField, value: object) -> None:
    if value is None and not field.required:
        return
    name = field.wire
    _check_type(field, value)
    for problem in secret_problems(name, value):
        raise ValidationError.of(problem.message)
    if field.kind == "enum" and field.values is not None:
        member(field.values, cast("str", value), name)
    if name == "backend":
        _check_backend(cast("str", value))
    if name == "config":
        _check_config(cast("dict[str, object]", value))


def _check_type(field: WorkloadField, value: object) -> None:
    if field.kind == "mapping":
        if not isinstance(value, dict):
            raise ValidationError.of(f"{field.wire} must be an object")
    elif not isinstance(value, str):
        raise ValidationError.of(f"{field.wire} must be a string")
    elif field.required and not value.strip():
        raise ValidationError.of(f"{field.wire} must not be empty")


def _check_backend(backend: str) -> None:
    if canonical_slug(backend) != backend:
        raise ValidationError.of(
            f"backend must be a slug such as 'vllm' or 'my-backend'; got {backend!r}"
        )


def _check_config(config: Mapping[str, object]) -> None:
    """Check the keys of ``config`` that store fields of a spec."""
    for field in CONFIG_FIELDS:
        value = config.get(field.wire)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ValidationError.of(f"config.{field.wire} must be a string")
        if field.wire == "command":
            problem = command_problem(value)
            if problem is not None:
                raise ValidationError.of(f"config.command {problem}")
