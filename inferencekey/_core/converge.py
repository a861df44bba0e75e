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
Create         stored under the wanted slug        Finish
Create         stored under a suffixed slug        Discard (another caller won), then Read
Create         unknown (the connection died)       Read: it may have been stored
Create         refused as a conflict (409)         Read
Update         stored                              Finish
Update         unknown, or gone (404)              Read
=============  ==================================  =============================================
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from inferencekey._core.reconcile import create_body, drift_error, make_plan, patch_body
from inferencekey._core.slugs import canonical_slug
from inferencekey.errors import ApiError, InferenceKeyError
from inferencekey.models import OnDrift, Plan, Workload, WorkloadSpec

__all__ = ["Converge", "Create", "Discard", "Fail", "Finish", "Read", "Step", "Update"]

MAX_ROUNDS: Final = 3
"""How often a lost race or an unknown outcome is answered by starting over."""


@attrs.frozen
class Read:
    """List the workloads and report the one with the slug. First wait ``delay`` seconds."""

    delay: float = 0.0


@attrs.frozen
class Create:
    """POST the body. Every try of one ensure carries the same ``Idempotency-Key``."""

    body: dict[str, Any]


@attrs.frozen
class Update:
    """PATCH the workload with exactly these fields."""

    id: str
    body: dict[str, Any]


@attrs.frozen
class Discard:
    """DELETE the duplicate that this very call created. Never anything else."""

    id: str


@attrs.frozen
class Finish:
    """Done. ``warn`` says that drift was left standing and is to be warned of."""

    slug: str
    plan: Plan
    warn: bool = False


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
        self._rounds = 0
        self._plan: Plan | None = None
        self._lost_to: str | None = None
        self._cause: InferenceKeyError | None = None

    def start(self) -> Step:
        """Return the first step."""
        return Read()

    def read(self, live: Workload | None) -> Step:
        """A Read was carried out: *live* is the workload with the slug, if there is one."""
        plan = make_plan(self._spec, live, project=self._project)
        if live is None:
            if self._on_drift is OnDrift.DRY_RUN:
                return Finish(self._slug, plan)
            if self._rounds >= MAX_ROUNDS:
                return Fail(self._gave_up())
            self._plan = plan
            return Create(create_body(self._spec))
        if plan.action == "none":
            # A second read after our own write finds it done: the plan says what this call did.
            return Finish(live.slug, self._done_plan(plan))
        if self._on_drift is OnDrift.FAIL:
            return Fail(drift_error(plan))
        if self._on_drift is not OnDrift.RECONCILE:
            return Finish(live.slug, plan, warn=self._on_drift is OnDrift.WARN)
        if self._rounds >= MAX_ROUNDS:
            return Fail(self._gave_up())
        self._plan = plan
        return Update(live.id, patch_body(plan))

    def created(self, stored: Workload) -> Step:
        """A Create was answered with *stored*."""
        assert self._plan is not None
        if canonical_slug(stored.slug) == self._slug:
            return Finish(stored.slug, attrs.evolve(self._plan, workload_id=stored.id))
        self._lost_to = stored.slug
        self._rounds += 1
        self._plan = None
        return Discard(stored.id)

    def discarded(self) -> Step:
        """A Discard was carried out (or found nothing to delete)."""
        return Read()

    def updated(self, stored: Workload) -> Step:
        """An Update was answered with *stored*."""
        assert self._plan is not None
        return Finish(stored.slug, self._plan)

    def unknown(self, cause: InferenceKeyError) -> Step:
        """A Create or Update may or may not have been carried out: look again, a little later each time."""
        self._cause = cause
        self._rounds += 1
        return Read(delay=0.25 * 2 ** (self._rounds - 1))

    def gone(self) -> Step:
        """An Update found no workload: it was deleted in between."""
        self._rounds += 1
        self._plan = None
        return Read()

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
