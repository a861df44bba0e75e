"""Spec and live workload in, plan out.

Compared is what the spec declares, in the contract's order; a field the spec leaves out is never drift, and keys of a
mapping that only the server knows are not drift either. ``task_type`` cannot be changed and is never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from inferencekey._core.jsonval import plain
from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import DriftError
from inferencekey.models import FieldDiff, Plan, Workload, WorkloadSpec

__all__ = ["ORDER", "create_body", "declared", "drift_error", "make_plan", "patch_body"]

ORDER: Final = (
    "name",
    "backend",
    "model_name",
    "description",
    "config",
    "worker_id",
    "gpu_resource_id",
    "execution_policy",
    "execution_policy_config",
)


def declared(spec: WorkloadSpec) -> dict[str, Any]:
    """Return the comparable wire fields that the spec declares, in order; mappings as JSON carries them.

    Raises:
        ValidationError: a mapping holds something JSON cannot carry.
    """
    config = cast("dict[str, Any] | None", plain(spec.config, "config"))
    for key in ("command", "vllm_version"):
        value = getattr(spec, key)
        if value is not None:
            config = {**(config or {}), key: value}
    values: dict[str, Any] = {
        "name": spec.name,
        "backend": str(spec.backend),
        "model_name": spec.model,
        "description": spec.description,
        "config": config,
        "worker_id": spec.worker_id,
        "gpu_resource_id": spec.gpu_resource_id,
        "execution_policy": None if spec.execution_policy is None else str(spec.execution_policy),
        "execution_policy_config": plain(spec.execution_policy_config, "execution_policy_config"),
    }
    return {field: values[field] for field in ORDER if values[field] is not None}


def create_body(spec: WorkloadSpec) -> dict[str, Any]:
    """Return the body that creates the workload."""
    fields = declared(spec)
    head = {"name": fields.pop("name"), "slug": canonical_slug(spec.slug), "task_type": str(spec.task_type)}
    return {**head, **fields}


def patch_body(plan: Plan) -> dict[str, Any]:
    """Return the body that carries out an update: exactly the drifted fields."""
    return {change.field: change.after for change in plan.changes}


def make_plan(spec: WorkloadSpec, live: Workload | None, *, project: str) -> Plan:
    """Return what would bring *live* (``None``: absent) to *spec*."""
    slug = canonical_slug(spec.slug)
    if live is None:
        changes = tuple(FieldDiff(field, None, value) for field, value in create_body(spec).items())
        return Plan("create", changes, project, slug)
    changes = _changes(declared(spec), live)
    return Plan("update" if changes else "none", changes, project, live.slug, live.id)


def drift_error(plan: Plan) -> DriftError:
    """Return the error of ``OnDrift.FAIL``."""
    return DriftError("workload drifted from spec: " + ", ".join(c.field for c in plan.changes), plan=plan)


def _changes(wanted: Mapping[str, Any], live: Workload) -> tuple[FieldDiff, ...]:
    found: list[FieldDiff] = []
    kind_changes = False
    for field, value in wanted.items():
        before = plain(getattr(live, field), field)
        after: Any
        if field == "execution_policy_config" and kind_changes:
            # The old kind's settings mean nothing to the new kind: as declared, and sent even if equal.
            after = value
        elif isinstance(value, dict):
            after = _merged(before, cast("dict[str, Any]", value))
            # A server may store an empty mapping as null.
            if _same(before or {}, after):
                continue
        elif _same(before, value):
            continue
        else:
            after = value
        kind_changes = kind_changes or field == "execution_policy"
        found.append(FieldDiff(field, before, after))
    return tuple(found)


def _merged(live: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return *live* with the declared keys over it, mapping by mapping: the server replaces a config whole."""
    if not isinstance(live, dict):
        return dict(wanted)
    merged = dict(cast("dict[str, Any]", live))
    for key, value in wanted.items():
        merged[key] = _merged(merged.get(key), cast("dict[str, Any]", value)) if isinstance(value, dict) else value
    return merged


def _same(one: Any, other: Any) -> bool:
    """Compare JSON values: ``True`` is not ``1``, though Python says so."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        a, b = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(one, list) and isinstance(other, list):
        c, d = cast("list[Any]", one), cast("list[Any]", other)
        return len(c) == len(d) and all(map(_same, c, d))
    return bool(one == other)
