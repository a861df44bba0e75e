"""Is a plan fit to be carried out? Decided before any request."""

from __future__ import annotations

from typing import Final, cast

from inferencekey._core.control.plans import ORDER
from inferencekey._core.slugs import canonical_slug, checked_project
from inferencekey.errors import ValidationError
from inferencekey.models import Plan
from inferencekey.models.workload_fields import REQUIRED_FIELDS

__all__ = ["check_plan"]

REQUIRED: Final = tuple(field.wire for field in REQUIRED_FIELDS)


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
