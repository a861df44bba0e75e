"""Spec and live workload in, plan out.

Compared is what the spec declares, in the contract's order; a field the spec leaves out is never drift, and keys of a
mapping that only the server knows are not drift either. ``task_type`` cannot be changed and is never compared.

A plan remembers what it was made from: ``state_of`` is a digest of each field that can drift, so that whoever applies the
plan later can say which of them has moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

import orjson

from inferencekey._core.json import plain
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.errors import DriftError, ResponseFormatError, ValidationError
from inferencekey.models import FieldDiff, Plan, Workload, WorkloadSpec
from inferencekey.models.plan_text import same
from inferencekey.models.workload_fields import (
    CONFIG_FIELDS,
    CREATE_FIELDS,
    REQUIRED_FIELDS,
    UPDATE_FIELDS,
    WorkloadField,
)

__all__ = [
    "ORDER",
    "check_plan",
    "create_body",
    "declared",
    "drift_error",
    "holds",
    "make_plan",
    "moved_error",
    "patch_body",
    "plan_warnings",
    "state_of",
]

REQUIRED: Final = tuple(field.wire for field in REQUIRED_FIELDS)
"""The wire names of the fields that a create must have."""

ORDER: Final = tuple(field.wire for field in UPDATE_FIELDS)
"""The wire names of the fields that can drift, in the order in which they are compared."""


def declared(spec: WorkloadSpec) -> dict[str, Any]:
    """Return the comparable wire fields that the spec declares, in order; mappings as JSON carries them.

    Raises:
        ValidationError: a mapping holds something JSON cannot carry.
    """
    values: dict[str, Any] = {}
    for field in UPDATE_FIELDS:
        value = _sent(spec, field)
        if field.name == "config":
            value = _with_config_fields(value, spec)
        if value is not None:
            values[field.wire] = value
    return values


def _sent(spec: WorkloadSpec, field: WorkloadField) -> Any:
    """Return the value of a field as JSON carries it; ``None`` if the spec leaves it out."""
    value: object = getattr(spec, field.name)
    if field.kind == "mapping":
        return plain(value, field.name)
    return None if value is None else str(value)


def _with_config_fields(config: dict[str, Any] | None, spec: WorkloadSpec) -> dict[str, Any] | None:
    """Return the config with the fields over it that a spec has by themselves, such as the command."""
    given = {field.wire: getattr(spec, field.name) for field in CONFIG_FIELDS}
    declared = {name: value for name, value in given.items() if value is not None}
    return {**(config or {}), **declared} if declared else config


def create_body(spec: WorkloadSpec) -> dict[str, Any]:
    """Return the body that creates the workload."""
    values = declared(spec)
    for field in CREATE_FIELDS:
        if not field.updatable:
            values[field.wire] = _sent(spec, field)
    values["slug"] = canonical_slug(spec.slug)
    return {field.wire: values[field.wire] for field in CREATE_FIELDS if field.wire in values}


def patch_body(plan: Plan) -> dict[str, Any]:
    """Return the body that carries out an update: exactly the drifted fields."""
    return {change.field: change.after for change in plan.changes}


def make_plan(spec: WorkloadSpec, live: Workload | None, *, project: str) -> Plan:
    """Return what would bring *live* (``None``: absent) to *spec*.

    Raises:
        ValidationError: the workload is absent and cannot be created: its policy has settings and no kind.
    """
    slug = canonical_slug(spec.slug)
    if live is None:
        if spec.execution_policy is None and spec.execution_policy_config is not None:
            raise ValidationError.of(
                f"the workload {slug!r} does not exist yet, and its execution_policy_config needs "
                "execution_policy; add it"
            )
        changes = tuple(FieldDiff(field, None, value) for field, value in create_body(spec).items())
        return Plan("create", changes, project, slug)
    return _plan(declared(spec), live, project)


def plan_warnings(spec: WorkloadSpec, live: Workload | None) -> tuple[str, ...]:
    """Return what the spec says otherwise than *live* and no plan can change: one text for each."""
    wanted = str(spec.task_type)
    if live is None or str(live.task_type) == wanted:
        return ()
    return (
        f"workload {live.slug!r}: task_type is {str(live.task_type)!r} live, and the spec says {wanted!r}; it cannot be "
        "changed: delete the workload, or use another slug",
    )


def _plan(wanted: Mapping[str, Any], live: Workload, project: str) -> Plan:
    changes = _changes(wanted, live)
    return Plan(
        "update" if changes else "none", changes, project, live.slug, live.id, state_of(live)
    )


def drift_error(plan: Plan) -> DriftError:
    """Return the error of ``OnDrift.FAIL``."""
    return DriftError.of(
        ", ".join(c.field for c in plan.changes), prefix="workload drifted from spec", plan=plan
    )


_DIGITS: Final = 8


def state_of(live: Workload) -> str:
    """Return a digest of the workload's id and of every field that can drift, eight hex digits each."""
    return "".join(sha256(_written(live, field)).hexdigest()[:_DIGITS] for field in ("id", *ORDER))


def moved_error(plan: Plan, live: Workload | None) -> DriftError | None:
    """Return why a plan can no longer be applied to what is *live* now; ``None`` if it can."""
    if plan.state is None:
        why = None if live is None else "exists now"
    elif live is None:
        why = "does not exist any more"
    elif live.id != plan.workload_id:
        why = "was deleted and created again since"
    else:
        now = state_of(live)
        places = (
            (field, slice(_DIGITS * n, _DIGITS * n + _DIGITS))
            for n, field in enumerate(("id", *ORDER))
        )
        fields = [field for field, place in places if now[place] != plan.state[place]]
        why = None if now == plan.state else f"was changed since: {', '.join(fields)}"
    if why is None:
        return None
    fresh = (
        _plan(_wanted(plan), live, plan.project_slug) if live is not None and plan.changes else None
    )
    return DriftError.of(
        f"{plan.workload_slug!r} {why}. Plan again.",
        prefix="workload drifted from plan",
        plan=fresh,
    )


def holds(plan: Plan, live: Workload) -> bool:
    """Whether everything that the plan would store is stored."""
    return not _changes(_wanted(plan), live)


def _wanted(plan: Plan) -> dict[str, Any]:
    return {change.field: change.after for change in plan.changes if change.field in ORDER}


def _changes(wanted: Mapping[str, Any], live: Workload) -> tuple[FieldDiff, ...]:
    found: list[FieldDiff] = []
    kind_changes = False
    for field, value in wanted.items():
        before = orjson.loads(_written(live, field))
        after: Any
        if field == "execution_policy_config" and kind_changes:
            # The old kind's settings mean nothing to the new kind: as declared, and sent even if equal.
            after = value
        elif isinstance(value, dict):
            after = _merged(before, cast("dict[str, Any]", value))
            # A server may store an empty mapping as null.
            if same(before or {}, after):
                continue
        elif same(before, value):
            continue
        else:
            after = value
        kind_changes = kind_changes or field == "execution_policy"
        found.append(FieldDiff(field, before, after))
    return tuple(found)


def _written(live: Workload, field: str) -> bytes:
    """Return what the server has in a field, as JSON."""
    try:
        return orjson.dumps(getattr(live, field), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # it can be read, but not written: writers nest less deeply than readers
        raise ResponseFormatError.of(
            f"the {field} of workload {live.slug!r} is nested too deeply to be compared"
        ) from None


def _merged(live: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return *live* with the declared keys over it, mapping by mapping: the server replaces a config whole."""
    if not isinstance(live, dict):
        return dict(wanted)
    merged = dict(cast("dict[str, Any]", live))
    for key, value in wanted.items():
        merged[key] = (
            _merged(merged.get(key), cast("dict[str, Any]", value))
            if isinstance(value, dict)
            else value
        )
    return merged


def check_plan(plan: Plan) -> None:
    """Check that a plan is one that ``plan`` makes: a create of a whole workload, an update of a known one, or nothing.

    Raises:
        ValidationError: it is not.
    """
    if not isinstance(cast("object", plan), Plan):
        raise ValidationError.of(f"plan must be a Plan; got {type(plan).__name__}")
    why = _wrong(plan)
    if why is not None:
        raise ValidationError.of(f"this is no plan to apply: {why}; make it with plan(spec)")
    checked_project(plan.project_slug)


def _wrong(plan: Plan) -> str | None:
    fields = [change.field for change in plan.changes]
    if not plan.workload_slug or canonical_slug(plan.workload_slug) != plan.workload_slug:
        return f"{plan.workload_slug!r} is no slug as the platform stores it"
    if plan.action == "create":
        body = {change.field: change.after for change in plan.changes}
        missing = [field for field in REQUIRED if not body.get(field)]
        if missing:
            return f"it creates a workload without {', '.join(missing)}"
        if body["slug"] != plan.workload_slug:
            return f"it creates {body['slug']!r}, but is of {plan.workload_slug!r}"
        consistent = plan.workload_id is None and plan.state is None
        allowed: tuple[str, ...] = (*REQUIRED, *ORDER)
    else:
        consistent = bool(plan.workload_id and plan.state)
        allowed = ORDER if plan.action == "update" else ()
    if not consistent:
        return "its action and what it says of the live workload contradict each other"
    if plan.action == "update" and not fields:
        return "it updates nothing"
    strange = [field for field in fields if field not in allowed]
    if strange or len(set(fields)) < len(fields):
        return (
            f"its changes are of fields that it cannot change, or twice of one: {', '.join(fields)}"
        )
    return None
