"""Plans: the difference between a spec and the live workload, and whether a plan still applies.

The fields that the spec declares are compared, in the contract's order. A field that the spec
leaves out is never drift, and neither are keys of a mapping that only the server has. ``task_type``
cannot be changed, so it is never compared.

A plan has a digest of the workload that it was made from: eight hex digits for each field that can
drift. ``moved_error`` compares them with the live workload and names the fields that have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Literal, cast

import orjson

from inferencekey._core.json import plain
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.errors import DriftError, ResponseFormatError, ValidationError
from inferencekey.models import FieldDiff, Plan, Workload, WorkloadSpec
from inferencekey.models.half_characters import HALF_CHARACTER, half_character
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
    "is_stored",
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
    """Return the fields of the spec that are compared, by wire name, with values as in JSON.

    Raises:
        ValidationError: a mapping contains a value that JSON does not have.
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
    """Return the value of a field as it is in JSON; ``None`` if the spec leaves it out."""
    value: object = getattr(spec, field.name)
    if field.kind == "mapping":
        return plain(value, field.name)
    return None if value is None else str(value)


def _with_config_fields(config: dict[str, Any] | None, spec: WorkloadSpec) -> dict[str, Any] | None:
    """Return the config with the spec's command and the like, which replace keys of the config."""
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
    """Return the body of the request that carries out a plan."""
    return {change.field: change.after for change in plan.changes}


def make_plan(spec: WorkloadSpec, live: Workload | None, *, project: str) -> Plan:
    """Return the plan that makes the live workload match the spec.

    Args:
        spec: a checked spec.
        live: the workload; ``None`` if there is none.
        project: the resolved project.

    Raises:
        ValidationError: the workload does not exist and cannot be created, because its policy has
            settings but no kind.
    """
    slug = canonical_slug(spec.slug)
    if live is None:
        if spec.execution_policy is None and spec.execution_policy_config is not None:
            raise ValidationError.of(
                f"workload {slug!r} does not exist yet, so its execution_policy_config needs "
                "an execution_policy; add one"
            )
        changes = tuple(FieldDiff(field, None, value) for field, value in create_body(spec).items())
        return Plan("create", changes, project, slug)
    return _plan(declared(spec), live, project)


def plan_warnings(spec: WorkloadSpec, live: Workload | None) -> tuple[str, ...]:
    """Return one message for each difference that no plan can remove."""
    wanted = str(spec.task_type)
    if live is None or str(live.task_type) == wanted:
        return ()
    return (
        f"workload {live.slug!r} has the task_type {str(live.task_type)!r}, but the spec has "
        f"{wanted!r}; task_type cannot be changed: delete the workload, or use another slug",
    )


def _plan(wanted: Mapping[str, Any], live: Workload, project: str) -> Plan:
    changes = _changes(wanted, live)
    action: Literal["update", "none"] = "update" if changes else "none"
    return Plan(action, changes, project, live.slug, live.id, state_of(live))


def drift_error(plan: Plan) -> DriftError:
    """Return the error of ``OnDrift.FAIL``."""
    return DriftError.of(
        ", ".join(c.field for c in plan.changes), prefix="workload drifted from spec", plan=plan
    )


_DIGITS: Final = 8
_DIGESTED: Final = ("id", *ORDER)


def state_of(live: Workload) -> str:
    """Return a digest of the workload: eight hex digits for its id and for each field."""
    digests = (sha256(_live_json(live, field)).hexdigest() for field in _DIGESTED)
    return "".join(digest[:_DIGITS] for digest in digests)


def moved_error(plan: Plan, live: Workload | None) -> DriftError | None:
    """Return why a plan can no longer be applied to the live workload; ``None`` if it can."""
    change = _change_since(plan, live)
    if change is None:
        return None
    new_plan = None
    if live is not None and plan.changes:
        new_plan = _plan(_wanted(plan), live, plan.project_slug)
    return DriftError.of(
        f"{plan.workload_slug!r} {change}. Plan again.",
        prefix="workload drifted from plan",
        plan=new_plan,
    )


def _change_since(plan: Plan, live: Workload | None) -> str | None:
    """Return what has happened to the workload since the plan was made; ``None`` for nothing."""
    if plan.state is None:
        return None if live is None else "exists now"
    if live is None:
        return "does not exist any more"
    if live.id != plan.workload_id:
        return "was deleted and created again"
    state = state_of(live)
    if state == plan.state:
        return None
    changed: list[str] = []
    for index, field in enumerate(_DIGESTED):
        digits = slice(_DIGITS * index, _DIGITS * (index + 1))
        if state[digits] != plan.state[digits]:
            changed.append(field)
    return f"was changed since: {', '.join(changed)}"


def is_stored(plan: Plan, live: Workload) -> bool:
    """Whether the live workload already has every value that the plan would store."""
    return not _changes(_wanted(plan), live)


def _wanted(plan: Plan) -> dict[str, Any]:
    return {change.field: change.after for change in plan.changes if change.field in ORDER}


def _changes(wanted: Mapping[str, Any], live: Workload) -> tuple[FieldDiff, ...]:
    found: list[FieldDiff] = []
    kind_changes = False
    for field, value in wanted.items():
        before = orjson.loads(_live_json(live, field))
        after: Any
        if field == "execution_policy_config" and kind_changes:
            # The settings of the old kind do not apply to the new kind. They are not merged, and
            # the declared ones are sent even if they are equal, as the contract requires.
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


def _live_json(live: Workload, field: str) -> bytes:
    """Return the live value of a field, as JSON."""
    try:
        return orjson.dumps(getattr(live, field), option=orjson.OPT_SORT_KEYS)
    except TypeError:  # orjson reads deeper nesting than it writes
        raise ResponseFormatError.of(
            f"the {field} of workload {live.slug!r} is nested too deeply to be compared"
        ) from None


def _merged(live: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the live mapping with the declared keys in it.

    A PATCH replaces a mapping whole, so keys that only the server has must be sent along.
    """
    if not isinstance(live, dict):
        return dict(wanted)
    merged = dict(cast("dict[str, Any]", live))
    for key, value in wanted.items():
        if isinstance(value, dict):
            value = _merged(merged.get(key), cast("dict[str, Any]", value))
        merged[key] = value
    return merged


def check_plan(plan: Plan) -> None:
    """Check that a plan has the form of those that ``plan`` makes.

    Raises:
        ValidationError: it is not a create of a whole workload, an update of a known one, or a plan
            without changes.
    """
    if not isinstance(cast("object", plan), Plan):
        raise ValidationError.of(f"plan must be a Plan; got {type(plan).__name__}")
    problem = _plan_problem(plan)
    if problem is not None:
        raise ValidationError.of(
            f"cannot apply this plan: {problem}; make a new one with plan(spec)"
        )
    checked_project(plan.project_slug)


def _plan_problem(plan: Plan) -> str | None:
    fields = [change.field for change in plan.changes]
    content = {"project_slug": plan.project_slug, "state": plan.state, "id": plan.workload_id}
    changes = [{change.field: [change.before, change.after]} for change in plan.changes]
    if (place := half_character({**content, "changes": changes})) is not None:
        return f"{place} {HALF_CHARACTER}"
    if not plan.workload_slug or canonical_slug(plan.workload_slug) != plan.workload_slug:
        return f"{plan.workload_slug!r} is not a slug in canonical form"
    if plan.action == "create":
        body = {change.field: change.after for change in plan.changes}
        missing = [field for field in REQUIRED if not body.get(field)]
        if missing:
            return f"it creates a workload without {', '.join(missing)}"
        if body["slug"] != plan.workload_slug:
            return f"it creates {body['slug']!r} but was made for {plan.workload_slug!r}"
        consistent = plan.workload_id is None and plan.state is None
        allowed: tuple[str, ...] = (*REQUIRED, *ORDER)
    else:
        consistent = bool(plan.workload_id and plan.state)
        allowed = ORDER if plan.action == "update" else ()
    if not consistent:
        return "its action does not fit its workload_id and state"
    if plan.action == "update" and not fields:
        return "it is an update without changes"
    strange = [field for field in fields if field not in allowed]
    if strange or len(set(fields)) < len(fields):
        return f"it changes a field twice, or one that cannot be changed: {', '.join(fields)}"
    return None
