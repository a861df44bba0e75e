"""What an apply would do: a plan for each workload of a manifest, and what it would remove.

The rule of removal: a workload is removed only if the manifest's lock file records it for this
platform, if this run uses its project, and if the live workload still has the recorded id.
Every other workload is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import attrs
import orjson

from inferencekey.errors import DriftError, ValidationError
from inferencekey.manifest import LockEntry
from inferencekey.models import OnDrift, Plan, PlanLine, member
from inferencekey.models.plan_text import clean_text
from inferencekey.printable import INVALID_UNICODE, printable, surrogate_paths

__all__ = ["LeftAlone", "ManifestPlan", "Removal", "plan_name"]

FORMAT: Final = 1
"""The version of what :meth:`ManifestPlan.to_dict` returns."""


@attrs.frozen
class Removal:
    """A live workload that the manifest no longer declares and that its lock file records.

    Args:
        project: the workload's project.
        slug: its slug.
        id: its id, which the lock file has as well.
    """

    project: str
    slug: str
    id: str

    @property
    def name(self) -> str:
        """``project/slug``."""
        return f"{self.project}/{self.slug}"

    def to_dict(self) -> dict[str, Any]:
        """Return the removal as JSON-able values."""
        return attrs.asdict(self)


@attrs.frozen
class LeftAlone:
    """A workload that is not removed although a reader might expect it.

    Args:
        project: the workload's project.
        slug: its slug.
        reason: one line for people.
    """

    project: str
    slug: str
    reason: str

    @property
    def name(self) -> str:
        """``project/slug``."""
        return f"{self.project}/{self.slug}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {"project": self.project, "slug": self.slug, "why": self.reason}


@attrs.frozen(kw_only=True)
class ManifestPlan:
    """Everything that an apply of a manifest would do. ``str(plan)`` is a readable diff.

    Args:
        base_url: the platform that it was made for.
        manifest_path: the manifest that it was made from.
        lock_path: the manifest's lock file.
        plans: one for each workload of the manifest, in the manifest's order.
        removals: workloads that the lock file records and the manifest no longer declares.
        prune: whether an apply removes them.
        destroy: whether the plan removes everything that the lock file records, and does nothing
            else.
        left_alone: workloads that are not removed, each with the reason.
        stale: records of the lock file whose workload no longer exists or has another id now.
            An apply drops them.
        drifted: plans of live workloads that differ from the manifest and are left as they are;
            their entries in ``plans`` have the action ``none``. See :meth:`resolve_drift`.
        warnings: what is allowed but probably not intended, one text each.
    """

    base_url: str
    manifest_path: Path
    lock_path: Path
    plans: tuple[Plan, ...]
    removals: tuple[Removal, ...] = ()
    prune: bool = False
    destroy: bool = False
    left_alone: tuple[LeftAlone, ...] = ()
    stale: tuple[LockEntry, ...] = ()
    drifted: tuple[Plan, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether an apply would change anything on the platform."""
        if self.prune and self.removals:
            return True
        return any(plan.action != "none" for plan in self.plans)

    @property
    def removes_everything(self) -> bool:
        """Whether ``prune`` is on while the manifest declares no workload at all.

        That is more often a mistake than intended, so that an apply refuses it unless it is asked
        to ``allow_empty``. A plan to destroy is never counted.
        """
        return self.prune and not self.plans and not self.destroy

    def count(self, action: str) -> int:
        """Return how many plans have this action: ``"create"``, ``"update"`` or ``"none"``."""
        return sum(plan.action == action for plan in self.plans)

    def slugs_by_project(self) -> dict[str, list[str]]:
        """Return the slugs of the manifest's workloads by project, as ``wait_all`` takes them."""
        found: dict[str, list[str]] = {}
        for plan in self.plans:
            found.setdefault(plan.project_slug, []).append(plan.workload_slug)
        return found

    def resolve_drift(self, on_drift: OnDrift | str) -> ManifestPlan:
        """Return the plan as an apply with this ``on_drift`` carries it out.

        Under ``warn`` and ``ignore`` live workloads that differ are left as they are: they move to
        ``drifted``. Under ``reconcile`` and ``dry_run`` the plan stays as it is.

        Args:
            on_drift: what to do about live workloads that differ.

        Raises:
            DriftError: some differ, under ``fail``. The text names them and their fields.
            ValidationError: *on_drift* is wrong.
        """
        mode = member(OnDrift, on_drift, "on_drift")
        updates = tuple(plan for plan in self.plans if plan.action == "update")
        if not updates or mode in (OnDrift.RECONCILE, OnDrift.DRY_RUN):
            return self
        if mode is OnDrift.FAIL:
            raise DriftError.of(
                f"{'; '.join(map(drift_text, updates))}. Nothing was changed.",
                prefix="workload drifted from spec",
                plan=updates[0] if len(updates) == 1 else None,
            )
        plans = tuple(
            attrs.evolve(plan, action="none", changes=()) if plan.action == "update" else plan
            for plan in self.plans
        )
        return attrs.evolve(self, plans=plans, drifted=(*self.drifted, *updates))

    def lines(self) -> tuple[PlanLine, ...]:
        """Return the plan line by line, each with its sign (for colours)."""
        found = [line for plan in self.plans for line in plan.lines()]
        if self.prune:
            found += (
                PlanLine("-", f"{clean_text(removal.name)}: remove") for removal in self.removals
            )
        found += (
            PlanLine(" ", clean_text(f"{one.name}: left alone: {one.reason}"))
            for one in self.left_alone
        )
        return tuple(found)

    def __str__(self) -> str:
        return "\n".join(map(str, self.lines()))

    def to_dict(self) -> dict[str, Any]:
        """Return what an apply needs as JSON-able values, with a digest over all of it.

        Raises:
            ValidationError: a value, such as the path of the manifest, has half a character, which
                JSON in UTF-8 does not have; the message names it.
        """
        content: dict[str, Any] = {
            "format": FORMAT,
            "base_url": self.base_url,
            "manifest": str(self.manifest_path),
            "lock": str(self.lock_path),
            "prune": self.prune,
            "summary": {
                "create": self.count("create"),
                "update": self.count("update"),
                "unchanged": self.count("none"),
                "remove": len(self.removals),
            },
            "plans": [plan.to_dict() for plan in self.plans],
            "remove": [removal.to_dict() for removal in self.removals],
        }
        if self.destroy:
            content["destroy"] = True
        _check_characters(content)
        return {**content, "digest": _digest(content)}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> ManifestPlan:
        """Return the plan that ``to_dict`` wrote.

        Raises:
            ValidationError: it is not a plan, or was changed since: its digest is not that of its
                content.
        """
        return _from_dict(mapping)


def plan_name(plan: Plan) -> str:
    """Return ``project/slug``."""
    return f"{plan.project_slug}/{plan.workload_slug}"


def drift_text(plan: Plan) -> str:
    """Return the workload's name and the fields in which it differs."""
    return clean_text(f"{plan_name(plan)} ({', '.join(change.field for change in plan.changes)})")


def _check_characters(content: Mapping[str, Any]) -> None:
    for path in surrogate_paths(content):
        field = printable(".".join(map(str, path)))
        raise ValidationError.of(f"the plan's {field} contains {INVALID_UNICODE}")


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _from_dict(given: object) -> ManifestPlan:
    if not isinstance(given, Mapping):
        raise ValidationError.of(f"a saved plan must be an object; got {type(given).__name__}")
    document = dict(cast("Mapping[str, Any]", given))
    digest = document.pop("digest", None)
    _check_characters(document)
    try:
        if document["format"] != FORMAT or digest != _digest(document):
            raise _changed()
        return ManifestPlan(
            base_url=document["base_url"],
            manifest_path=Path(document["manifest"]),
            lock_path=Path(document["lock"]),
            plans=tuple(Plan.from_dict(plan) for plan in document["plans"]),
            removals=tuple(Removal(**removal) for removal in document["remove"]),
            prune=document["prune"],
            destroy=document.get("destroy", False),
        )
    except (KeyError, TypeError):  # a field is missing, or has another type
        raise _changed() from None


def _changed() -> ValidationError:
    return ValidationError.of("it has another format, or was changed after it was made; plan again")
