"""Which changes choose the machine of a workload. They need the scope ``assignment:write``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from inferencekey.local.records import StoredWorkload

__all__ = ["assigned_fields"]

_FIELDS: Final = ("worker_id", "gpu_resource_id")
_POLICY: Final = "execution_policy_config"


def assigned_fields(
    changes: Mapping[str, Any], current: StoredWorkload | None = None
) -> tuple[str, ...]:
    """Return the names of the fields that would assign the workload to another machine.

    A change that removes an assignment, or repeats the present one, does not count.

    Args:
        changes: the fields to set; they have been checked.
        current: the workload before the change; ``None`` if it is being created.
    """
    fields: list[str] = []
    for name in _FIELDS:
        before = None if current is None else getattr(current, name)
        if changes.get(name) not in (None, before):
            fields.append(name)
    policy = None if current is None else current.execution_policy_config
    workers = _private_workers(changes.get(_POLICY))
    if workers and workers != _private_workers(policy):
        fields.append(f"{_POLICY}.workers.private_worker_ids")
    return tuple(fields)


def _private_workers(config: Mapping[str, Any] | None) -> list[str]:
    """Return the ids in the config of a policy, sorted: their order has no effect."""
    workers: Mapping[str, Any] = (config or {}).get("workers") or {}
    ids: list[str] = workers.get("private_worker_ids") or []
    return sorted(ids)
