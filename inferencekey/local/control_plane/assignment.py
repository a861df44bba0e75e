"""What puts a workload on a machine of the caller's choice: such a change needs the scope ``assignment:write``."""

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
    """Return the names of the fields that would assign the workload anew.

    Taking an assignment away is none, and neither is sending the one it has.

    Args:
        changes: the fields to set, checked.
        current: the workload as it is; ``None`` when it is to be created.
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
    """Return the ids that a checked policy's config names, in no particular order."""
    workers: Mapping[str, Any] = (config or {}).get("workers") or {}
    ids: list[str] = workers.get("private_worker_ids") or []
    return sorted(ids)
