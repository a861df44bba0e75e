"""What ``ensure`` and ``apply`` do next: read, compare, act, until exactly one workload stands.

A state machine without I/O. The caller carries out the step it is given and reports what came of it; each report
returns the next step.

=============  ==================================  =============================================
after          what came of it                     next
=============  ==================================  =============================================
(start)        –                                   Read
Read           absent                              Create (Finish under ``dry_run``)
Read           equal                               Finish
Read           different                           by ``on_drift``: Update, Finish, or Fail
Read           there, a create of ours unknown     Create again, under the same key: whose is it?
Create         stored under the wanted slug        Finish
Create         stored under a suffixed slug        Discard (another caller won), then Read
Create         unknown (the connection died)       Read: it may have been stored
Create         refused as a conflict (409)         Read, and a new key
Update         stored                              Finish
Update         unknown, or gone (404)              Read
=============  ==================================  =============================================

``apply`` differs after a Read only: it does what its plan says, or fails because what is live has moved since. What it
finds after a loss of its own and what holds all that it would have stored is taken for its own doing, and no move. Only
of a create that the server answered does the plan get the workload's id: that one is surely this call's.

=============  ==================================  =============================================
Read           as the plan was made from it        Create, Update, or Finish, as the plan says
Read           otherwise                           Fail
Read           after a loss, and the plan holds    Finish
Read           there, a create of ours unknown     Create again, under the same key: whose is it?
=============  ==================================  =============================================

A create whose answer was lost is sent again under its ``Idempotency-Key``. A server that honours keys then says which
workload is ours, and a first try that arrives late makes nothing new. On one that does not, the second try may leave a
duplicate, which is known and discarded, and the first one, which is not: so before such an ensure finishes, it waits,
reads once more, and names what appeared beside the workload. It is reported, never deleted: it may be another's.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final

import attrs

from inferencekey._core.control.plans import (
    drift_error,
    holds,
    make_plan,
    moved_error,
    patch_body,
    plan_warnings,
)
from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import ApiError, InferenceKeyError
from inferencekey.models import OnDrift, Plan, Workload, WorkloadSpec

__all__ = [
    "Apply",
    "Converge",
    "Create",
    "Discard",
    "Fail",
    "Finish",
    "Machine",
    "Read",
    "Step",
    "Update",
]

MAX_ROUNDS: Final = 3
"""How often a lost race or an unknown outcome is answered by starting over."""

SETTLE: Final = 1.0
"""Seconds that a create whose answer was lost may still take to arrive at the server."""


@attrs.frozen
class Read:
    """List the workloads and report the one with the slug. First wait ``delay`` seconds."""

    delay: float = 0.0


@attrs.frozen
class Create:
    """POST the body. The same ``generation`` of one ensure is the same ``Idempotency-Key``."""

    body: dict[str, Any]
    generation: int = 0


@attrs.frozen
class Update:
    """PATCH the workload with exactly these fields."""

    id: str
    body: dict[str, Any]


@attrs.frozen
class Discard:
    """DELETE the duplicate that this very call created. Never anything else."""

    id: str
    slug: str = attrs.field(default="", eq=False)


@attrs.frozen
class Finish:
    """Done.

    Args:
        slug: as the server stored it.
        plan: what was done, or would have been.
        warn: drift was left standing and is to be warned of.
        leftovers: slugs that appeared beside the workload and may be duplicates of this call's making.
        notes: what the spec says and no update can bring about.
    """

    slug: str
    plan: Plan
    warn: bool = False
    leftovers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@attrs.frozen
class Fail:
    """Raise the error."""

    error: InferenceKeyError


Step = Read | Create | Update | Discard | Finish | Fail


class Machine(ABC):
    """What ``ensure`` and ``apply`` have in common: everything but the look at what is live.

    Args:
        slug: the canonical slug of the one workload that is to stand.
    """

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self._rounds = 0
        self._generation = 0
        self._plan: Plan | None = None
        self._lost_to: str | None = None
        self._cause: InferenceKeyError | None = None
        self._creating = False
        self.outcome_unknown = False  # what the last write said that was answered, or else lost
        self._lost = False  # a create of ours may have been stored without our knowing
        self._asked = False  # ... and the server was asked again under the same key
        self._proving = (
            False  # ... while the slug was taken: the slug itself can only be given to its owner
        )
        self._seen: Iterable[str] = ()
        self._before: Iterable[str] | None = (
            None  # all slugs before the first create, gone through only when needed
        )
        self._finish: Finish | None = None
        self._notes: tuple[str, ...] = ()

    def start(self) -> Step:
        """Return the first step."""
        return Read()

    def read(self, live: Workload | None, slugs: Iterable[str] = ()) -> Step:
        """A Read was carried out.

        Args:
            live: the workload with the slug, if there is one.
            slugs: all the project's slugs; gone through at most once, and only after a loss.
        """
        if self._finish is not None:
            leftovers = self._beside(slugs) - self._beside(self._before or ())
            return attrs.evolve(self._finish, leftovers=tuple(sorted(leftovers)))
        self._seen = slugs
        return self._look(live)

    @abstractmethod
    def _look(self, live: Workload | None) -> Step:
        """Decide by what is live."""

    def created(self, stored: Workload) -> Step:
        """A Create was answered with *stored*."""
        assert self._plan is not None
        self.outcome_unknown = self._lost and not self._proving
        if canonical_slug(stored.slug) == self.slug:
            self._lost = self._lost and not self._proving
            return self._done(Finish(stored.slug, attrs.evolve(self._plan, workload_id=stored.id)))
        self._lost_to = stored.slug
        self._rounds += 1
        self._plan = None
        # What was deleted cannot be had again under its key.
        self._generation += 1
        return Discard(stored.id, stored.slug)

    def discarded(self) -> Step:
        """A Discard was carried out (or found nothing to delete)."""
        return Read()

    def updated(self, stored: Workload) -> Step:
        """An Update was answered with *stored*."""
        assert self._plan is not None
        self.outcome_unknown = self._lost
        return self._done(Finish(stored.slug, self._plan))

    def unknown(self, cause: InferenceKeyError) -> Step:
        """A Create or Update may or may not have been carried out: look again, a little later each time."""
        self._cause = cause
        self._rounds += 1
        self.outcome_unknown = True
        if self._creating:
            self._lost = True
            self._asked = False
        return Read(delay=0.25 * 2 ** (self._rounds - 1))

    def conflict(self, cause: InferenceKeyError) -> Step:
        """A Create was refused with 409: its key or its slug is spoken for. Nothing was stored."""
        self._cause = cause
        self._rounds += 1
        self._generation += 1
        self._asked = True
        return Read(delay=0.25 * 2 ** (self._rounds - 1))

    def gone(self) -> Step:
        """An Update found no workload: it was deleted in between."""
        self._rounds += 1
        self._plan = None
        return Read()

    def _create(self, plan: Plan, *, proving: bool = False) -> Step:
        if self._before is None:
            self._before = self._seen
        self._plan = plan
        self._creating = True
        self._proving = proving
        self._asked = self._lost
        return Create(patch_body(plan), self._generation)

    def _update(self, plan: Plan, live: Workload) -> Step:
        self._plan = plan
        self._creating = False
        return Update(live.id, patch_body(plan))

    @property
    def _unproven(self) -> bool:
        """Whether what is there may be a create of ours whose answer was lost, and the server can still be asked."""
        return self._lost and not self._asked and self._rounds < MAX_ROUNDS

    @property
    def _worn_out(self) -> bool:
        return self._rounds >= MAX_ROUNDS

    def _done(self, finish: Finish) -> Step:
        """Finish, once what was lost has had time to show."""
        finish = attrs.evolve(finish, notes=self._notes)
        if not self._lost:
            return finish
        self._finish = finish
        return Read(delay=SETTLE)

    def _beside(self, slugs: Iterable[str]) -> frozenset[str]:
        suffixed = re.compile(re.escape(self.slug) + r"-[0-9]+")
        return frozenset(slug for slug in slugs if suffixed.fullmatch(slug))

    def _gave_up(self) -> InferenceKeyError:
        if self._cause is not None:
            return self._cause
        if self._lost_to is None:
            return ApiError.of(
                f"workload {self.slug!r} disappeared {MAX_ROUNDS} times while it was being ensured; "
                "another caller deletes it."
            )
        return ApiError.of(
            f"workload {self.slug!r} could not be ensured: the server stored it as {self._lost_to!r} "
            f"{MAX_ROUNDS} times, yet lists no {self.slug!r}; each duplicate was deleted again. "
            "Is the slug reserved, or does another caller delete it?"
        )


class Converge(Machine):
    """One ensure.

    Args:
        spec: a checked spec.
        on_drift: what to do about drift.
        project: the resolved project.
    """

    def __init__(self, spec: WorkloadSpec, on_drift: OnDrift, project: str) -> None:
        super().__init__(canonical_slug(spec.slug))
        self._spec = spec
        self._on_drift = on_drift
        self._project = project

    def _look(self, live: Workload | None) -> Step:
        plan = make_plan(self._spec, live, project=self._project)
        self._notes = plan_warnings(self._spec, live)
        if live is None:
            if self._on_drift is OnDrift.DRY_RUN:
                return Finish(self.slug, plan)
            return Fail(self._gave_up()) if self._worn_out else self._create(plan)
        if self._unproven and self._plan is not None:
            return self._create(self._plan, proving=True)
        if plan.action == "none":
            # A second read after our own write finds it done: the plan says what this call did.
            return self._done(Finish(live.slug, self._done_plan(plan)))
        if self._on_drift is OnDrift.FAIL:
            return Fail(drift_error(plan))
        if self._on_drift is not OnDrift.RECONCILE:
            return self._done(Finish(live.slug, plan, warn=self._on_drift is OnDrift.WARN))
        return Fail(self._gave_up()) if self._worn_out else self._update(plan, live)

    def _done_plan(self, none: Plan) -> Plan:
        if self._plan is None:
            return none
        return attrs.evolve(self._plan, workload_id=none.workload_id)


class Apply(Machine):
    """One apply.

    Args:
        plan: a checked plan.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.workload_slug)
        self._wanted = plan

    def _look(self, live: Workload | None) -> Step:
        wanted = self._wanted
        if live is not None and wanted.action == "create" and self._unproven:
            return self._create(wanted, proving=True)
        moved = moved_error(wanted, live)
        if moved is not None:
            if live is not None and self._may_be_ours(live) and holds(wanted, live):
                # Of a create no id is told: what is there may be another caller's, who made the same.
                return self._done(Finish(live.slug, wanted))
            return Fail(moved)
        if live is not None and wanted.action == "none":
            return Finish(live.slug, wanted)
        if self._worn_out:
            return Fail(self._gave_up())
        return self._create(wanted) if live is None else self._update(wanted, live)

    def _may_be_ours(self, live: Workload) -> bool:
        if self._wanted.action == "create":
            return self._lost
        return self._cause is not None and live.id == self._wanted.workload_id
