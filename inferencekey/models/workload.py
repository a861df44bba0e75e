"""A workload as the server stores it, and the reference to it that ``ensure`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from inferencekey.models.enums import Backend, ExecutionPolicy, TaskType
from inferencekey.models.plan import Plan

__all__ = ["EndpointRef", "Workload"]


@attrs.frozen(kw_only=True)
class Workload:
    """A workload as the server stores it. Fields that only a newer server has are in ``raw``."""

    id: str
    slug: str
    name: str = ""
    project_id: str | None = None
    description: str | None = None
    task_type: TaskType | str = TaskType.TEXT2TEXT
    backend: Backend | str = ""
    model_name: str = ""
    config: Mapping[str, Any] | None = None
    worker_id: str | None = None
    gpu_resource_id: str | None = None
    execution_policy: ExecutionPolicy | str | None = None
    execution_policy_config: Mapping[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)


@attrs.frozen
class EndpointRef:
    """A reference to a workload: pass ``workload_slug`` to :meth:`DataClient.endpoint`.

    Args:
        project_slug: the project of the workload.
        workload_slug: the slug as the server has stored it.
        plan: what ``ensure`` did, or under ``dry_run`` would do. Not part of equality or hash.
    """

    project_slug: str
    workload_slug: str
    plan: Plan | None = attrs.field(default=None, eq=False, repr=False)
