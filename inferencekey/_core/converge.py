"""What ``ensure`` does next: read, compare, act, until exactly one workload stands.

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

A create whose answer was lost is sent again under its ``Idempotency-Key``. A server that honours keys then says which
workload is ours, and a first try that arrives late makes nothing new. On one that does not, the second try may leave a
duplicate, which is known and discarded, and the first one, which is not: so before such an ensure finishes, it waits,
reads once more, and names what appeared beside the workload. It is reported, never deleted: it may be another's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from inferencekey._core.reconcile import create_body, drift_error, make_plan, patch_body
from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import ApiError, InferenceKeyError
from inferencekey.models import OnDrift, Plan, Workload, WorkloadSpec

__all__ = ["Converge", "Create", "Discard", "Fail", "Finish", "Read", "Step", "Update"]

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
    """

    slug: str
    plan: Plan
    warn: bool = False
    leftovers: tuple[str, ...] = ()


@attrs.frozen
class Fail:
    """Raise the error."""

    error: InferenceKeyError


Step = Read | Create | Update | Discard | Finish | Fail


class Converge:
    """One ensure.

    Args:
        spec: a checked spec.
        on_drift: what to do about drift.
        project: the resolved project.
    """

    def __init__(self, spec: WorkloadSpec, on_drift: OnDrift, project: str) -> None:
        self._spec = spec
        self._on_drift = on_drift
        self._project = project
        self._slug = canonical_slug(spec.slug)
        self._suffixed = re.compile(re.escape(self._slug) + r"-[0-9]+")
        self._rounds = 0
        self._generation = 0
        self._plan: Plan | None = None
        self._lost_to: str | None = None
        self._cause: InferenceKeyError | None = None
        self._creating = False
        self._lost = False  # a create of ours may have been stored without our knowing
        self._asked = False  # ... and the server was asked again under the same key
        self._proving = False  # ... while the slug was taken: the slug itself can only be given to its owner
        self._before: frozenset[str] | None = None
        self._finish: Finish | None = None

    def start(self) -> Step:
        """Return the first step."""
        return Read()

    def read(self, live: Workload | None, slugs: Iterable[str] = ()) -> Step:
        """A Read was carried out.

        Args:
            live: the workload with the slug, if there is one.
            slugs: all the project's slugs.
        """
        beside = frozenset(slug for slug in slugs if self._suffixed.fullmatch(slug))
        if self._before is None:
            self._before = beside
        if self._finish is not None:
            return attrs.evolve(self._finish, leftovers=tuple(sorted(beside - self._before)))
        plan = make_plan(self._spec, live, project=self._project)
        if live is None:
            if self._on_drift is OnDrift.DRY_RUN:
                return Finish(self._slug, plan)
            if self._rounds >= MAX_ROUNDS:
                return Fail(self._gave_up())
            self._proving = False
            return self._create(plan)
        if self._lost and not self._asked and self._plan is not None and self._rounds < MAX_ROUNDS:
            self._proving = True
            return self._create(self._plan)
        if plan.action == "none":
            # A second read after our own write finds it done: the plan says what this call did.
            return self._done(Finish(live.slug, self._done_plan(plan)))
        if self._on_drift is OnDrift.FAIL:
            return Fail(drift_error(plan))
        if self._on_drift is not OnDrift.RECONCILE:
            return self._done(Finish(live.slug, plan, warn=self._on_drift is OnDrift.WARN))
        if self._rounds >= MAX_ROUNDS:
            return Fail(self._gave_up())
        self._plan = plan
        self._creating = False
        return Update(live.id, patch_body(plan))

    def created(self, stored: Workload) -> Step:
        """A Create was answered with *stored*."""
        assert self._plan is not None
        if canonical_slug(stored.slug) == self._slug:
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
        return self._done(Finish(stored.slug, self._plan))

    def unknown(self, cause: InferenceKeyError) -> Step:
        """A Create or Update may or may not have been carried out: look again, a little later each time."""
        self._cause = cause
        self._rounds += 1
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

    def _create(self, plan: Plan) -> Step:
        self._plan = plan
        self._creating = True
        self._asked = self._lost
        return Create(create_body(self._spec), self._generation)

    def _done(self, finish: Finish) -> Step:
        """Finish, once what was lost has had time to show."""
        if not self._lost:
            return finish
        self._finish = finish
        return Read(delay=SETTLE)

    def _done_plan(self, none: Plan) -> Plan:
        if self._plan is None:
            return none
        return attrs.evolve(self._plan, workload_id=none.workload_id)

    def _gave_up(self) -> InferenceKeyError:
        if self._cause is not None:
            return self._cause
        if self._lost_to is None:
            return ApiError(
                f"api error: workload {self._slug!r} disappeared {MAX_ROUNDS} times while it was being ensured; "
                "another caller deletes it."
            )
        return ApiError(
            f"api error: workload {self._slug!r} could not be ensured: the server stored it as {self._lost_to!r} "
            f"{MAX_ROUNDS} times, yet lists no {self._slug!r}; each duplicate was deleted again. "
            "Is the slug reserved, or does another caller delete it?"
        )
