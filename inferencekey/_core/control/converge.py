"""The next step of ``ensure`` and ``apply``: read, compare, act, until exactly one workload exists.

A state machine without I/O. The caller carries out the step that it is given and reports the
outcome; each report returns the next step.

=============  ==================================  =============================================
step           outcome                             next step
=============  ==================================  =============================================
(start)        –                                   Read
Read           absent                              Create (Finish under ``dry_run``)
Read           equal                               Finish
Read           different                           by ``on_drift``: Update, Finish, or Fail
Read           present, a create of ours unknown   Create with the same key, to learn whose it is
Create         stored under the wanted slug        Finish
Create         stored under a suffixed slug        Discard (another caller was first), then Read
Create         unknown (the connection broke)      Read: it may have been stored
Create         refused as a conflict (409)         Read, and a new key
Update         stored                              Finish
Update         unknown, or gone (404)              Read
=============  ==================================  =============================================

``apply`` differs only after a Read: it does what its plan says, or fails because the live workload
has changed since. After an unknown outcome, a workload that already has every value of the plan is
taken for the result of this very call, and is no drift. The plan gets the id of a created workload
only if the server has responded to that create: only then does it surely belong to this call.

=============  ==================================  =============================================
Read           as when the plan was made           Create, Update, or Finish, as the plan says
Read           different                           Fail
Read           after a loss, the plan is stored    Finish
Read           present, a create of ours unknown   Create with the same key, to learn whose it is
=============  ==================================  =============================================

A create whose response was lost is sent again with the same ``Idempotency-Key``. A server that
honours such keys then tells which workload is ours, and a first request that arrives late creates
nothing. A server that ignores them may store a duplicate for the second request, which is known and
discarded, and another for the late first request, which is not known. So before such an ensure
finishes, it waits, reads once more, and reports the slugs that have appeared beside the workload.
It does not delete them, because they may belong to another caller.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final

import attrs

from inferencekey._core.control.plans import (
    drift_error,
    is_stored,
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
"""How often a lost race or an unknown outcome starts the loop again."""

SETTLE: Final = 1.0
"""Seconds in which a create whose response was lost may still arrive at the server."""


@attrs.frozen
class Read:
    """Wait ``delay`` seconds, list the workloads, and report the one with the slug."""

    delay: float = 0.0


@attrs.frozen
class Create:
    """POST the body. Creates with the same ``generation`` share one ``Idempotency-Key``."""

    body: dict[str, Any]
    generation: int = 0


@attrs.frozen
class Update:
    """PATCH the workload with exactly these fields."""

    id: str
    body: dict[str, Any]


@attrs.frozen
class Discard:
    """DELETE the duplicate that this very call created, and nothing else."""

    id: str
    slug: str = attrs.field(default="", eq=False)


@attrs.frozen
class Finish:
    """Return the result.

    Args:
        slug: the slug as the server has stored it.
        plan: what was done, or under ``dry_run`` would be done.
        warn: there is drift that was not removed, and the caller gets a warning.
        leftovers: slugs that appeared beside the workload; they may be duplicates that this call
            has made.
        notes: warnings about differences that no update can remove.
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
    """What ``ensure`` and ``apply`` share: everything but the decision after a Read.

    Args:
        slug: the canonical slug of the workload.
    """

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.outcome_unknown = False
        """Whether the outcome of the last write is unknown, because its response was lost."""
        self._rounds = 0
        self._generation = 0
        self._plan: Plan | None = None
        self._lost_to: str | None = None
        self._cause: InferenceKeyError | None = None
        self._creating = False
        # A create of ours may have been stored, but its response was lost.
        self._lost = False
        # After that loss, the server was asked again with the same key.
        self._asked = False
        # That second create was sent while the slug was taken, so only the owner of the slug can
        # get the slug itself as a response.
        self._proving = False
        self._listed: Iterable[str] = ()
        # All slugs before the first create. They are only iterated over when needed.
        self._listed_before: Iterable[str] | None = None
        self._finish: Finish | None = None
        self._notes: tuple[str, ...] = ()

    def start(self) -> Step:
        """Return the first step."""
        return Read()

    def read(self, live: Workload | None, slugs: Iterable[str] = ()) -> Step:
        """Report the outcome of a Read.

        Args:
            live: the workload with the slug, if there is one.
            slugs: all slugs of the project. They are iterated over at most once, and only after a
                response was lost.
        """
        if self._finish is not None:
            leftovers = self._suffixed(slugs) - self._suffixed(self._listed_before or ())
            return attrs.evolve(self._finish, leftovers=tuple(sorted(leftovers)))
        self._listed = slugs
        return self._decide(live)

    @abstractmethod
    def _decide(self, live: Workload | None) -> Step:
        """Return the next step for this live workload."""

    def created(self, stored: Workload) -> Step:
        """Report the workload that the server returned for a Create."""
        assert self._plan is not None
        self.outcome_unknown = self._lost and not self._proving
        if canonical_slug(stored.slug) == self.slug:
            self._lost = self._lost and not self._proving
            return self._done(Finish(stored.slug, attrs.evolve(self._plan, workload_id=stored.id)))
        self._lost_to = stored.slug
        self._rounds += 1
        self._plan = None
        # A server that honours keys would return the deleted workload for the same key.
        self._generation += 1
        return Discard(stored.id, stored.slug)

    def discarded(self) -> Step:
        """Report that a Discard was carried out, or found nothing to delete."""
        return Read()

    def updated(self, stored: Workload) -> Step:
        """Report the workload that the server returned for an Update."""
        assert self._plan is not None
        self.outcome_unknown = self._lost
        return self._done(Finish(stored.slug, self._plan))

    def unknown(self, cause: InferenceKeyError) -> Step:
        """Report that a Create or Update may have been carried out; its response was lost."""
        self._cause = cause
        self._rounds += 1
        self.outcome_unknown = True
        if self._creating:
            self._lost = True
            self._asked = False
        return Read(delay=0.25 * 2 ** (self._rounds - 1))

    def conflict(self, cause: InferenceKeyError) -> Step:
        """Report that a Create was refused with 409: its key or its slug is taken."""
        self._cause = cause
        self._rounds += 1
        self._generation += 1
        self._asked = True
        return Read(delay=0.25 * 2 ** (self._rounds - 1))

    def gone(self) -> Step:
        """Report that an Update found no workload: it was deleted in between."""
        self._rounds += 1
        self._plan = None
        return Read()

    def _create(self, plan: Plan, *, proving: bool = False) -> Step:
        if self._listed_before is None:
            self._listed_before = self._listed
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
        """Whether the live workload may be ours, and the server can still be asked."""
        return self._lost and not self._asked and self._rounds < MAX_ROUNDS

    @property
    def _out_of_rounds(self) -> bool:
        return self._rounds >= MAX_ROUNDS

    def _done(self, finish: Finish) -> Step:
        """Finish; after a loss, only once a late create has had time to arrive."""
        finish = attrs.evolve(finish, notes=self._notes)
        if not self._lost:
            return finish
        self._finish = finish
        return Read(delay=SETTLE)

    def _suffixed(self, slugs: Iterable[str]) -> frozenset[str]:
        suffixed = re.compile(re.escape(self.slug) + r"-[0-9]+")
        return frozenset(slug for slug in slugs if suffixed.fullmatch(slug))

    def _exhausted(self) -> InferenceKeyError:
        if self._cause is not None:
            return self._cause
        if self._lost_to is None:
            return ApiError.of(
                f"workload {self.slug!r} disappeared {MAX_ROUNDS} times while it was ensured; "
                "another caller keeps deleting it."
            )
        return ApiError.of(
            f"workload {self.slug!r} could not be ensured: {MAX_ROUNDS} times, the server stored "
            f"it as {self._lost_to!r} but did not list {self.slug!r}; each duplicate was deleted. "
            "Check whether the slug is reserved, or whether another caller deletes the workload."
        )


class Converge(Machine):
    """The steps of one ``ensure``.

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

    def _decide(self, live: Workload | None) -> Step:
        plan = make_plan(self._spec, live, project=self._project)
        self._notes = plan_warnings(self._spec, live)
        if live is None:
            if self._on_drift is OnDrift.DRY_RUN:
                return Finish(self.slug, plan)
            if self._out_of_rounds:
                return Fail(self._exhausted())
            return self._create(plan)
        if self._unproven and self._plan is not None:
            return self._create(self._plan, proving=True)
        if plan.action == "none":
            # After a write of our own, the plan of the result says what this call has done.
            return self._done(Finish(live.slug, self._done_plan(plan)))
        if self._on_drift is OnDrift.FAIL:
            return Fail(drift_error(plan))
        if self._on_drift is not OnDrift.RECONCILE:
            return self._done(Finish(live.slug, plan, warn=self._on_drift is OnDrift.WARN))
        if self._out_of_rounds:
            return Fail(self._exhausted())
        return self._update(plan, live)

    def _done_plan(self, none: Plan) -> Plan:
        if self._plan is None:
            return none
        return attrs.evolve(self._plan, workload_id=none.workload_id)


class Apply(Machine):
    """The steps of one ``apply``.

    Args:
        plan: a checked plan.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.workload_slug)
        self._wanted = plan

    def _decide(self, live: Workload | None) -> Step:
        wanted = self._wanted
        if live is not None and wanted.action == "create" and self._unproven:
            return self._create(wanted, proving=True)
        moved = moved_error(wanted, live)
        if moved is not None:
            if live is not None and self._may_be_ours(live) and is_stored(wanted, live):
                # The plan of a create stays without an id: another caller may have made the same.
                return self._done(Finish(live.slug, wanted))
            return Fail(moved)
        if live is not None and wanted.action == "none":
            return Finish(live.slug, wanted)
        if self._out_of_rounds:
            return Fail(self._exhausted())
        if live is None:
            return self._create(wanted)
        return self._update(wanted, live)

    def _may_be_ours(self, live: Workload) -> bool:
        if self._wanted.action == "create":
            return self._lost
        return self._cause is not None and live.id == self._wanted.workload_id
