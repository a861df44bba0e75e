"""What ``ensure`` would do, or did: an action and the fields it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import attrs

__all__ = ["FieldDiff", "Plan"]


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
    """The difference between a spec and the live workload.

    Args:
        action: ``"create"``, ``"update"`` or ``"none"``.
        changes: the drifted fields in the contract's order; for a create, every declared field from ``None``.
        project_slug: where.
        workload_slug: which.
        workload_id: the live workload's id; ``None`` for a create.
    """

    action: Literal["create", "update", "none"]
    changes: tuple[FieldDiff, ...] = ()
    project_slug: str = ""
    workload_slug: str = ""
    workload_id: str | None = None

    def __str__(self) -> str:
        where = f"{self.project_slug}/{self.workload_slug}"
        if self.action == "none":
            return f"= {where}: no change"
        lines = [f"{'+' if self.action == 'create' else '~'} {where}: {self.action}"]
        for change in self.changes:
            lines.extend(_lines(change.field, change.before, change.after, "    "))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON-able values."""
        return {
            "action": self.action,
            "project_slug": self.project_slug,
            "workload_slug": self.workload_slug,
            "workload_id": self.workload_id,
            "changes": [{"field": c.field, "before": c.before, "after": c.after} for c in self.changes],
        }


def _lines(path: str, before: Any, after: Any, indent: str) -> list[str]:
    """Describe one change; mappings key by key, so that a long config shows only what moves."""
    if isinstance(after, Mapping) and (before is None or isinstance(before, Mapping)):
        old = cast("Mapping[str, Any]", before or {})
        new = cast("Mapping[str, Any]", after)
        lines: list[str] = []
        for key, value in new.items():
            if key not in old or old[key] != value:
                lines.extend(_lines(f"{path}.{key}", old.get(key), value, indent))
        lines.extend(f"{indent}- {path}.{key}: {value!r}" for key, value in old.items() if key not in new)
        return lines
    if before is None:
        return [f"{indent}+ {path}: {after!r}"]
    return [f"{indent}~ {path}:", f"{indent}    - {before!r}", f"{indent}    + {after!r}"]
