"""What a create or an update may say, decided before anything is stored."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final, cast

from inferencekey._core.control.policies import check_policy
from inferencekey._core.slugs import canonical_slug
from inferencekey.config import is_secret
from inferencekey.errors import ValidationError
from inferencekey.local.records import StoredWorkload
from inferencekey.models import TaskType, member

__all__ = ["command_words", "parse_create", "parse_update"]

_REQUIRED: Final = ("name", "slug", "task_type", "backend", "model_name")
_TEXTS: Final = ("description", "worker_id", "gpu_resource_id")
_MAPPINGS: Final = ("config", "execution_policy_config")
_SETTABLE: Final = (
    "name",
    "backend",
    "model_name",
    *_TEXTS,
    "config",
    "execution_policy",
    "execution_policy_config",
)


def parse_create(body: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
    """Return the canonical slug and the fields to store.

    Raises:
        ValidationError: a field is missing, unknown, or wrong; the message names it.
    """
    for name in body:
        if name not in _REQUIRED and name not in _SETTABLE:
            raise ValidationError(f"{name} is not a field of a workload")
    for name in _REQUIRED:
        if name not in body:
            raise ValidationError(f"{name} is required")
        _required_text(name, body[name])
    fields = {name: body[name] for name in body if name != "slug"}
    _check(fields)
    member(TaskType, fields["task_type"], "task_type")
    check_policy(
        cast("str | None", fields.get("execution_policy")),
        cast("Mapping[str, Any] | None", fields.get("execution_policy_config")),
    )
    slug = canonical_slug(cast("str", body["slug"]))
    if not slug:
        raise ValidationError(f"slug must contain a letter or a digit; got {body['slug']!r}")
    return slug, fields


def parse_update(body: Mapping[str, object], current: StoredWorkload) -> dict[str, Any]:
    """Return the changes to store.

    Args:
        body: the fields sent.
        current: the workload as it is; a policy is checked as it will be.

    Raises:
        ValidationError: a field cannot be changed, is unknown, or wrong; the message names it.
    """
    for name in body:
        if name in _FIXED:
            raise ValidationError(f"{name} cannot be changed")
        if name not in _SETTABLE:
            raise ValidationError(f"{name} is not a field of a workload")
    changes: dict[str, Any] = dict(body)
    for name in ("name", "backend", "model_name"):
        if name in changes:
            _required_text(name, changes[name])
    _check(changes)
    if "execution_policy" in changes or "execution_policy_config" in changes:
        kind = changes.get("execution_policy", current.execution_policy)
        if kind != current.execution_policy:
            # A config belongs to its kind: one that was not sent along is gone.
            changes.setdefault("execution_policy_config", None)
        check_policy(kind, changes.get("execution_policy_config", current.execution_policy_config))
    return changes


_FIXED: Final = frozenset(
    {
        "id",
        "slug",
        "task_type",
        "project_id",
        "project_slug",
        "workload_slug",
        "created_at",
        "updated_at",
    }
)


def command_words(command: str) -> list[str]:
    """Split a command into words as a shell would, without one.

    Raises:
        ValidationError: a quote is not closed, or no word is left.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValidationError(f"config.command cannot be split into words: {error}") from None
    if not words:
        raise ValidationError("config.command must not be empty")
    return words


def _required_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string")
    if not value.strip():
        raise ValidationError(f"{name} must not be empty")


def _check(fields: Mapping[str, object]) -> None:
    """Check types, secrets, the backend's slug and the command, in the fields that are there."""
    for name in (*_TEXTS, "execution_policy"):
        if not isinstance(fields.get(name), (str, type(None))):
            raise ValidationError(f"{name} must be a string")
    for name in _MAPPINGS:
        if not isinstance(fields.get(name), (dict, type(None))):
            raise ValidationError(f"{name} must be an object")
    for name, value in fields.items():
        _no_secret(name, value)
    backend = fields.get("backend")
    if isinstance(backend, str) and canonical_slug(backend) != backend:
        raise ValidationError(
            f"backend must be a slug such as 'vllm' or 'my-backend'; got {backend!r}"
        )
    config = fields.get("config")
    if isinstance(config, dict):
        _check_config(cast("dict[str, object]", config))


def _check_config(config: Mapping[str, object]) -> None:
    for name in ("command", "vllm_version"):
        if not isinstance(config.get(name), (str, type(None))):
            raise ValidationError(f"config.{name} must be a string")
    command = config.get("command")
    if isinstance(command, str):
        if "\0" in command:
            raise ValidationError("config.command must not contain NUL characters")
        command_words(command)


def _no_secret(name: str, value: object) -> None:
    if isinstance(value, str):
        # A mention inside prose is fine; in settings, a word that is a token is going to be used as one.
        words = (
            value.replace("=", " ").replace('"', " ").replace("'", " ").split()
            if name in _MAPPINGS
            else []
        )
        if is_secret(value) or any(is_secret(word) for word in words):
            raise ValidationError(f"{name} contains a token; secrets must never go in specs")
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            _no_secret(name, key)
            _no_secret(name, inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            _no_secret(name, inner)
