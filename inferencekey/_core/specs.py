"""Is a spec fit to be sent? Decided before any request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from inferencekey._core.jsonval import plain
from inferencekey._core.slugs import checked_project, checked_slug
from inferencekey.config import is_secret, redact
from inferencekey.errors import ConfigurationError, ValidationError
from inferencekey.models import ExecutionPolicy, TaskType, WorkloadSpec, member

__all__ = ["check_spec", "resolve_project"]

REQUIRED: Final = ("name", "slug", "model", "backend")
TEXTS: Final = (*REQUIRED, "description", "command", "vllm_version", "worker_id", "gpu_resource_id", "project")
ENUMS: Final = ("task_type", "execution_policy")
MAPPINGS: Final = ("config", "execution_policy_config")

_WORD = re.compile(r"[^A-Za-z0-9_\-]+")
_CREDENTIAL = re.compile(r"(?<![A-Za-z0-9_])ik_(?:live|sdk)_[A-Za-z0-9]")


def check_spec(spec: WorkloadSpec) -> str:
    """Check a spec and return its canonical slug.

    Raises:
        ConfigurationError: a field is, or the command holds, a credential.
        ValidationError: a required field is blank, a field has the wrong type or holds what JSON cannot carry, or an
            enum's string is unknown.
    """
    if not isinstance(cast("object", spec), WorkloadSpec):
        raise ValidationError(f"validation error: spec must be a WorkloadSpec; got {type(spec).__name__}")
    for field in TEXTS:
        value: object = getattr(spec, field)
        if value is None and field not in REQUIRED:
            continue
        if not isinstance(value, str):
            raise ValidationError(f"validation error: {field} must be a text; got {type(value).__name__}")
        if field in REQUIRED and not value.strip():
            raise ValidationError(f"validation error: {field} must not be empty")
        _no_secret(value)
    for word in _WORD.split(spec.command or ""):
        _no_secret(word)
    for field in MAPPINGS:
        mapping: object = getattr(spec, field)
        if mapping is None:
            continue
        if not isinstance(mapping, Mapping):
            raise ValidationError(f"validation error: {field} must be a mapping; got {type(mapping).__name__}")
        _no_secret_inside(plain(mapping, field))
    for field in ENUMS:
        _no_secret(str(getattr(spec, field)))
    member(TaskType, spec.task_type, "task_type")
    if spec.execution_policy is not None:
        member(ExecutionPolicy, spec.execution_policy, "execution_policy")
    return checked_slug(spec.slug)


def _no_secret(text: str) -> None:
    if is_secret(text):
        raise _secret()


def _secret() -> ConfigurationError:
    return ConfigurationError("configuration error: secrets must never go in specs")


def _no_secret_inside(value: object) -> None:
    if isinstance(value, str):
        # Commands, arguments and environments live in here: a credential anywhere in them, but not a mere mention.
        if is_secret(value) or _CREDENTIAL.search(value):
            raise _secret()
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            _no_secret_inside(key)
            _no_secret_inside(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            _no_secret_inside(inner)


def resolve_project(call: str | None, spec: str | None, client: str | None) -> str:
    """Return the project a spec goes to: the call's, else the spec's, else the client's.

    Raises:
        ConfigurationError: there is none, or the call's and the spec's differ.
        ValidationError: it cannot stand in a path.
    """
    call = (call or "").strip() or None
    spec = (spec or "").strip() or None
    if call is not None and spec is not None and call != spec:
        raise ConfigurationError(
            f"configuration error: project={redact(call)!r} was passed, but the spec says project={redact(spec)!r}; "
            "drop one of them."
        )
    project = call or spec or client
    if project is None:
        raise ConfigurationError("No project configured. Set INFERENCEKEY_PROJECT, pass project=, or set spec.project.")
    return checked_project(project)
