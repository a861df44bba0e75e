"""What a user declares: the workload that should exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from inferencekey.models.enums import Backend, ExecutionPolicy, TaskType, known_or_text

__all__ = ["WorkloadSpec"]


def _backend(value: Backend | str) -> Backend | str:
    return known_or_text(Backend, value)


def _task_type(value: TaskType | str) -> TaskType | str:
    return known_or_text(TaskType, value)


def _execution_policy(value: ExecutionPolicy | str | None) -> ExecutionPolicy | str | None:
    return None if value is None else known_or_text(ExecutionPolicy, value)


@attrs.frozen(kw_only=True)
class WorkloadSpec:
    """A description of one workload. What is left out (``None``) is the platform's business and is never drift.

    The spec is a plain value: it is checked when it is used (``ensure``, ``plan``), before any request.

    Args:
        name: label for people.
        slug: the idempotency key; canonicalised (``"Support Bot"`` is ``support-bot``).
        model: the model to serve, e.g. ``meta-llama/Llama-3.1-8B-Instruct``.
        backend: a :class:`Backend`, its wire string, or the slug of a custom backend.
        task_type: a :class:`TaskType` or its wire string. Not changeable afterwards, hence never compared.
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
    execution_policy: ExecutionPolicy | str | None = attrs.field(default=None, converter=_execution_policy)
    execution_policy_config: Mapping[str, Any] | None = None
    project: str | None = None

    def evolve(self, **changes: Any) -> WorkloadSpec:
        """Return a copy with the given fields replaced."""
        return attrs.evolve(self, **changes)
