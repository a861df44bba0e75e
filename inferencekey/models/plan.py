"""What ``ensure`` would do, or did: an action and the fields it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal, cast

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models.plan_text import PlanLine, change_lines

__all__ = ["FieldDiff", "Plan"]

Action = Literal["create", "update", "none"]

ACTIONS: Final = ("create", "update", "none")


@attrs.frozen
class FieldDiff:
    """One field that differs.

    Args:
        field: the wire name, e.g. ``"config"``.
        before: the live value; ``None`` where there is none.
        after: the value to be stored (for mappings, the merge of the live and the declared one).
    """

    field: str
    before: Any
    after: Any


@attrs.frozen
class Plan:
    """The difference between a spec and the live workload. ``str(plan)`` is a readable diff.

    Args:
        action: ``"create"``, ``"update"`` or ``"none"``.
        changes: the drifted fields in the contract's order; for a create, every declared field from ``None``.
        project_slug: where.
        workload_slug: which.
        workload_id: the live workload's id; ``None`` for a create that was not carried out.
        state: a digest of the live workload that the plan was made from, of every field that can drift and of its id;
            ``None`` for a create. ``apply`` refuses when it is no longer the live workload's.
    """

    action: Action
    changes: tuple[FieldDiff, ...] = ()
    project_slug: str = ""
    workload_slug: str = ""
    workload_id: str | None = None
    state: str | None = None

    @property
    def digest(self) -> str:
        """64 hex digits over everything in the plan: two plans of one digest do the same, to the same state.

        The id that a create got once it was carried out is no part of it: what was done has the digest that was reviewed.
        """
        return _digest(
            {
                **self._content(),
                "workload_id": None if self.action == "create" else self.workload_id,
            }
        )

    def lines(self) -> tuple[PlanLine, ...]:
        """Return the printed plan line by line, each with its sign (for colours)."""
        where = f"{self.project_slug}/{self.workload_slug}"
        if self.action == "none":
            return (PlanLine("=", f"{where}: no change"),)
        head = PlanLine("+" if self.action == "create" else "~", f"{where}: {self.action}")
        body = (
            line
            for change in self.changes
            for line in change_lines(change.field, change.before, change.after)
        )
        return (head, *body)

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines()))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON-able values, with its digest. Values are as they are stored, nothing is hidden."""
        content = self._content()
        return {**content, "digest": self.digest}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Plan:
        """Return the plan that ``to_dict`` wrote.

        Raises:
            ValidationError: it is not a plan, or was changed since: its digest is not that of its content.
        """
        return _plan(mapping)

    def _content(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "project_slug": self.project_slug,
            "workload_slug": self.workload_slug,
            "workload_id": self.workload_id,
            "state": self.state,
            "changes": [
                {"field": c.field, "before": c.before, "after": c.after} for c in self.changes
            ],
        }


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


_REQUIRED: Final = ("action", "project_slug", "workload_slug", "digest")
_TEXTS: Final = (*_REQUIRED, "workload_id", "state")


def _plan(given: object) -> Plan:
    if not isinstance(given, Mapping):
        raise _no_plan(f"must be an object, not {type(given).__name__}")
    mapping = cast("Mapping[str, Any]", given)
    unknown = sorted(str(key) for key in mapping if key not in (*_TEXTS, "changes"))
    if unknown:
        raise _no_plan(f"has fields that no plan has: {', '.join(unknown)}")
    for key in _TEXTS:
        value = mapping.get(key)
        if not (isinstance(value, str) or (value is None and key not in _REQUIRED)):
            raise _no_plan(f"{key} must be a string")
    if mapping["action"] not in ACTIONS:
        raise _no_plan(f"action must be one of {', '.join(ACTIONS)}; got {mapping['action']!r}")
    plan = Plan(
        mapping["action"],
        _changes(mapping.get("changes")),
        mapping["project_slug"],
        mapping["workload_slug"],
        mapping.get("workload_id"),
        mapping.get("state"),
    )
    if plan.digest != mapping["digest"]:
        raise _no_plan(
            "was changed after it was made (its digest is not that of its content); plan again"
        )
    return plan


def _changes(given: object) -> tuple[FieldDiff, ...]:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise _no_plan("changes must be a list")
    changes: list[FieldDiff] = []
    for item in cast("Sequence[object]", given):
        if not isinstance(item, Mapping) or set(cast("Mapping[str, Any]", item)) != {
            "field",
            "before",
            "after",
        }:
            raise _no_plan("each of changes must have field, before and after, and nothing else")
        change = cast("Mapping[str, Any]", item)
        if not isinstance(change["field"], str):
            raise _no_plan("the field of a change must be a string")
        changes.append(FieldDiff(change["field"], change["before"], change["after"]))
    return tuple(changes)


def _no_plan(why: str) -> ValidationError:
    return ValidationError.of(f"the plan {why}")
