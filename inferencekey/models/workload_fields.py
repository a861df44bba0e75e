"""The fields of a workload, each described once.

Whatever needs a list of a workload's fields derives it from :data:`WORKLOAD_FIELDS`: the checks of
a spec, the bodies of requests, the comparison for drift, the schema of a manifest, and what the
local platform accepts and stores. To add a field, add a row here and the attribute that type
checkers need on :class:`WorkloadSpec` and :class:`Workload`; ``tests/test_workload_fields.py``
fails until both are there.

The order of the rows is the contract's: fields are compared and sent in this order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import attrs

from inferencekey.models.enums import Backend, ExecutionPolicy, TaskType

__all__ = [
    "CONFIG_FIELDS",
    "CREATE_FIELDS",
    "REQUIRED_FIELDS",
    "SERVER_FIELDS",
    "UPDATE_FIELDS",
    "WORKLOAD_FIELDS",
    "WorkloadField",
]


@attrs.frozen(kw_only=True)
class WorkloadField:
    """One field of a workload.

    Args:
        name: its name in a spec and in a manifest.
        wire: its name in requests and responses.
        kind: ``"string"``, ``"enum"`` (only the strings of *values* are allowed) or ``"mapping"``.
        values: the known strings, if it has any. A string that is not an ``"enum"`` allows others.
        stored: where its value goes: to the top of the ``"body"``, into the body's ``"config"``, or
            into the ``"path"`` of the request.
        required: a create must have it, and it cannot be null.
        default: the value that a spec has without it.
        updatable: a live workload can be changed to another value, so it is compared for drift.
        backends: the backends that know it; empty if every backend does.
        doc: what it is for, in the words of :class:`WorkloadSpec`'s documentation.
    """

    name: str
    wire: str = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True))
    kind: Literal["string", "enum", "mapping"] = "string"
    values: type[StrEnum] | None = None
    stored: Literal["body", "config", "path"] = "body"
    required: bool = False
    default: str | None = None
    updatable: bool = True
    backends: tuple[Backend, ...] = ()
    doc: str

    @property
    def required_in_spec(self) -> bool:
        """Whether a spec must have it: a create must, and there is no default."""
        return self.required and self.default is None

    def applies_to(self, backend: str) -> bool:
        """Whether the field means something for this backend."""
        return not self.backends or backend in self.backends


WORKLOAD_FIELDS: Final = (
    WorkloadField(
        name="name",
        required=True,
        doc="label for people.",
    ),
    WorkloadField(
        name="slug",
        required=True,
        updatable=False,
        doc='the idempotency key; canonicalised (``"Support Bot"`` is ``support-bot``).',
    ),
    WorkloadField(
        name="task_type",
        kind="enum",
        values=TaskType,
        required=True,
        default=TaskType.TEXT2TEXT,
        updatable=False,
        doc="a :class:`TaskType` or its wire string. Not changeable afterwards, hence never "
        "compared.",
    ),
    WorkloadField(
        name="backend",
        values=Backend,
        required=True,
        doc="a :class:`Backend`, its wire string, or the slug of a custom backend.",
    ),
    WorkloadField(
        name="model",
        wire="model_name",
        required=True,
        doc="the model to serve, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.",
    ),
    WorkloadField(
        name="description",
        doc="free text.",
    ),
    WorkloadField(
        name="config",
        kind="mapping",
        doc="backend-specific settings; ``command`` and ``vllm_version`` go over it.",
    ),
    WorkloadField(
        name="command",
        stored="config",
        doc="how the backend launches the model; stored inside ``config``.",
    ),
    WorkloadField(
        name="vllm_version",
        stored="config",
        backends=(Backend.VLLM, Backend.VLLM_OMNI),
        doc="for ``vllm`` and ``vllm-omni``; stored inside ``config``.",
    ),
    WorkloadField(
        name="worker_id",
        doc="pin to one worker.",
    ),
    WorkloadField(
        name="gpu_resource_id",
        doc="pin to one GPU.",
    ),
    WorkloadField(
        name="execution_policy",
        kind="enum",
        values=ExecutionPolicy,
        doc="an :class:`ExecutionPolicy` or its wire string.",
    ),
    WorkloadField(
        name="execution_policy_config",
        kind="mapping",
        doc='what the policy needs, e.g. ``{"replicas": 2}``.',
    ),
    WorkloadField(
        name="project",
        stored="path",
        updatable=False,
        doc="the project to live in, instead of the client's.",
    ),
)

CREATE_FIELDS: Final = tuple(field for field in WORKLOAD_FIELDS if field.stored == "body")
"""The fields at the top of a create's body."""

UPDATE_FIELDS: Final = tuple(field for field in CREATE_FIELDS if field.updatable)
"""The fields that can drift, and that an update may send."""

REQUIRED_FIELDS: Final = tuple(field for field in CREATE_FIELDS if field.required)
"""The fields without which a workload cannot be created."""

CONFIG_FIELDS: Final = tuple(field for field in WORKLOAD_FIELDS if field.stored == "config")
"""The fields of a spec that are stored inside ``config``."""

SERVER_FIELDS: Final = (
    "id",
    "project_id",
    "project_slug",
    "workload_slug",
    "created_at",
    "updated_at",
)
"""The wire names of what the server adds. A request cannot set them."""
