"""A plan: what ``ensure`` would do or has done, as an action and the changed fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Literal, cast

import attrs

from inferencekey.errors import ValidationError
from inferencekey.models.plan_text import PlanLine, change_lines, clean_text
from inferencekey.printable import INVALID_UNICODE, printable, surrogate_paths

__all__ = ["FieldDiff", "Plan"]

Action = Literal["create", "update", "none"]

ACTIONS: Final = ("create", "update", "none")


@attrs.frozen
class FieldDiff:
    """One field that differs.

    Args:
        field: the wire name, e.g. ``"config"``.
        before: the live value; ``None`` where there is none.
        after: the value to store; for mappings, the live one merged with the declared one.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen
class Plan:
    """The difference between a spec and the live workload. ``str(plan)`` is a readable diff.

    Args:
        action: ``"create"``, ``"update"`` or ``"none"``.
        changes: the fields that differ, in the contract's order; for a create, every declared
            field, changed from ``None``.
        project_slug: the project.
        workload_slug: the slug of the workload.
        workload_id: the live workload's id; ``None`` for a create that was not carried out.
        state: a digest of the live workload's id and of every field that can drift, from when the
            plan was made; ``None`` for a create. ``apply`` refuses the plan if the digest of the
            live workload is a different one.
    """

    action: Action
    changes: tuple[FieldDiff, ...] = ()
    project_slug: str = ""
    workload_slug: str = ""
    workload_id: str | None = None
    state: str | None = None

    @property
    def digest(self) -> str:
        """A hash of the plan, as 64 hex digits: plans with the same digest do the same.

        It leaves out the id that a created workload has got. So the plan of a result has the digest
        of the plan that was reviewed.
        """
        return _digest(
            {
                **self._content(),
                "workload_id": None if self.action == "create" else self.workload_id,
            }
        )

    def lines(self) -> tuple[PlanLine, ...]:
        """Return the lines of the printed plan, each with its sign, which may select a colour."""
        where = clean_text(f"{self.project_slug}/{self.workload_slug}")
        if self.action == "none":
            return (PlanLine("=", f"{where}: no change"),)
        head = PlanLine("+" if self.action == "create" else "~", f"{where}: {self.action}")
        body = (
            line
            for change in self.changes
            for line in change_lines(clean_text(change.field), change.before, change.after)
        )
        return (head, *body)

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines()))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as values for JSON, with its digest. Nothing in the values is hidden."""
        content = self._content()
        return {**content, "digest": self.digest}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Plan:
        """Return the plan that ``to_dict`` wrote.

        Raises:
            ValidationError: it is not a plan, or its content no longer has its digest.
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
_STRINGS: Final = (*_REQUIRED, "workload_id", "state")


def _plan(given: object) -> Plan:
    if not isinstance(given, Mapping):
        raise _invalid(f"it must be a mapping; got {type(given).__name__}")
    mapping = cast("Mapping[str, Any]", given)
    for path in surrogate_paths(mapping):
        raise _invalid(f"{printable('.'.join(map(str, path)))} contains {INVALID_UNICODE}")
    unknown = sorted(str(key) for key in mapping if key not in (*_STRINGS, "changes"))
    if unknown:
        raise _invalid(f"unknown fields: {', '.join(unknown)}")
    for key in _STRINGS:
        value = mapping.get(key)
        if not (isinstance(value, str) or (value is None and key not in _REQUIRED)):
            raise _invalid(f"{key} must be a string")
    if mapping["action"] not in ACTIONS:
        raise _invalid(f"action must be one of {', '.join(ACTIONS)}; got {mapping['action']!r}")
    plan = Plan(
        mapping["action"],
        _changes(mapping.get("changes")),
        mapping["project_slug"],
        mapping["workload_slug"],
        mapping.get("workload_id"),
        mapping.get("state"),
    )
    if plan.digest != mapping["digest"]:
        raise _invalid(
            "its content does not match its digest, so it was changed after it was made; "
            "make a new plan"
        )
    return plan


def _changes(given: object) -> tuple[FieldDiff, ...]:
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise _invalid("changes must be a list")
    changes: list[FieldDiff] = []
    for item in cast("Sequence[object]", given):
        if not isinstance(item, Mapping) or set(cast("Mapping[str, Any]", item)) != {
            "field",
            "before",
            "after",
        }:
            raise _invalid(
                "each item of changes must be a mapping with exactly field, before and after"
            )
        change = cast("Mapping[str, Any]", item)
        if not isinstance(change["field"], str):
            raise _invalid("the field of a change must be a string")
        changes.append(FieldDiff(change["field"], change["before"], change["after"]))
    return tuple(changes)


def _invalid(problem: str) -> ValidationError:
    return ValidationError.of(f"not a valid plan: {problem}")
