"""The description of a workload that should exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict, Unpack, cast

import attrs

from inferencekey.credentials import hide_tokens
from inferencekey.errors import ValidationError
from inferencekey.models.enums import Backend, ExecutionPolicy, TaskType, known_or_text
from inferencekey.models.nearest import one_of_these
from inferencekey.models.toml import toml_text
from inferencekey.models.workload_fields import WORKLOAD_FIELDS, WorkloadField

__all__ = ["SPEC_FIELDS", "SpecChanges", "WorkloadSpec"]


class SpecChanges(TypedDict, total=False):
    """The arguments of :meth:`WorkloadSpec.evolve`: the fields of a spec, each optional."""

    name: str
    slug: str
    model: str
    backend: Backend | str
    task_type: TaskType | str
    description: str | None
    command: str | None
    vllm_version: str | None
    config: Mapping[str, Any] | None
    worker_id: str | None
    gpu_resource_id: str | None
    execution_policy: ExecutionPolicy | str | None
    execution_policy_config: Mapping[str, Any] | None
    project: str | None


def _backend(value: Backend | str) -> Backend | str:
    return known_or_text(Backend, value)


def _task_type(value: TaskType | str) -> TaskType | str:
    return known_or_text(TaskType, value)


def _execution_policy(value: ExecutionPolicy | str | None) -> ExecutionPolicy | str | None:
    return None if value is None else known_or_text(ExecutionPolicy, value)


@attrs.frozen(kw_only=True)
class WorkloadSpec:
    """The description of one workload.

    The platform decides about a field that is left out (``None``), so such a field is never drift.
    A spec is a plain value. It is checked when it is used, in ``ensure`` and ``plan``, before any
    request.

    Args:
        name: label for people.
        slug: the idempotency key; canonicalised (``"Support Bot"`` is ``support-bot``).
        model: the model to serve, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.
        backend: a :class:`Backend`, its wire string, or the slug of a custom backend.
        task_type: a :class:`TaskType` or its wire string. Not changeable afterwards, hence never
            compared.
        description: free text.
        command: how the backend launches the model; stored inside ``config``.
        vllm_version: for ``vllm`` and ``vllm-omni``; stored inside ``config``.
        config: backend-specific settings; ``command`` and ``vllm_version`` go over it.
        worker_id: pin to one worker.
        gpu_resource_id: pin to one GPU.
        execution_policy: an :class:`ExecutionPolicy` or its wire string.
        execution_policy_config: what the policy needs, e.g. ``{"replicas": 2}``.
        project: the project to live in, instead of the client's.
    """

    name: str
    slug: str
    model: str
    backend: Backend | str = attrs.field(converter=_backend)
    task_type: TaskType | str = attrs.field(default=TaskType.TEXT2TEXT, converter=_task_type)
    description: str | None = None
    command: str | None = None
    vllm_version: str | None = None
    config: Mapping[str, Any] | None = None
    worker_id: str | None = None
    gpu_resource_id: str | None = None
    execution_policy: ExecutionPolicy | str | None = attrs.field(
        default=None, converter=_execution_policy
    )
    execution_policy_config: Mapping[str, Any] | None = None
    project: str | None = None

    def evolve(self, **changes: Unpack[SpecChanges]) -> WorkloadSpec:
        """Return a copy with the given fields replaced.

        Raises:
            ValidationError: there is no such field. The message names the most similar one.
        """
        _refuse(_unknown(changes))
        return attrs.evolve(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not ``None``, with enums as strings and mappings as dicts."""
        values = {field.name: _plain(getattr(self, field.name)) for field in SPEC_FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WorkloadSpec:
        """Return the spec with these fields.

        Args:
            values: fields by name, as :meth:`to_dict` gives them; enums as members or wire strings.

        Raises:
            ValidationError: a field is unknown, missing or of the wrong type. The message names all
                of them.
        """
        if not isinstance(cast("object", values), Mapping):
            raise ValidationError.of(f"a spec must be a mapping; got {type(values).__name__}")
        wrong = _unknown(values)
        for field in SPEC_FIELDS:
            if field.required_in_spec and values.get(field.name) is None:
                wrong.append(f"{field.name} is required")
        for name, value in values.items():
            if name in _FIELD_OF and value is not None:
                wrong += _wrong_type(_FIELD_OF[name], value)
        _refuse(wrong)
        return cls(**{name: value for name, value in values.items() if value is not None})

    def to_toml(self) -> str:
        """Return the declared fields as a TOML document, with multi-line strings where they help.

        Raises:
            ValidationError: a mapping contains a value that TOML does not have, such as null. The
                message names it.
        """
        return toml_text(self.to_dict())

    @classmethod
    def from_toml(cls, text: str) -> WorkloadSpec:
        """Return the spec in a TOML document.

        Raises:
            ValidationError: it is not TOML, or not a spec (as for :meth:`from_dict`).
        """
        import tomllib

        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValidationError.of(f"the spec is not TOML: {error}") from None
        return cls.from_dict(values)


_FIELD_OF: Final = {field.name: field for field in WORKLOAD_FIELDS}

# A spec is written and printed in the order of its class; the wire has the contract's order.
SPEC_FIELDS: Final = tuple(_FIELD_OF[attribute.name] for attribute in attrs.fields(WorkloadSpec))
"""The fields of a spec, in the order of the class."""


def _wrong_type(field: WorkloadField, value: object) -> list[str]:
    kind, what = (Mapping, "mapping") if field.kind == "mapping" else (str, "string")
    if isinstance(value, kind):
        return []
    return [f"{field.name} must be a {what}; got {type(value).__name__}"]


def _unknown(given: Iterable[object]) -> list[str]:
    known = [field.name for field in SPEC_FIELDS]
    return [
        f"{hide_tokens(str(name))} is not a field of a spec{one_of_these(name, known)}"
        for name in given
        if name not in _FIELD_OF
    ]


def _refuse(wrong: list[str]) -> None:
    if wrong:
        raise ValidationError.of("; ".join(wrong))


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {
            _plain(key): _plain(inner)
            for key, inner in cast("Mapping[object, object]", value).items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    return str(value) if isinstance(value, str) else value
