"""Doing what a survey says: the plans at once, then the removals, with the lock file right after every step."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import attrs

from inferencekey import AsyncManagementClient
from inferencekey.cli.failures import CommandError, SeveralErrors, error_dict
from inferencekey.cli.interrupt import Interrupt, interruptible
from inferencekey.cli.output import note, warning
from inferencekey.deploy.lock_file import change_lock, without
from inferencekey.deploy.plan import Kept, Removal, Survey, name_of
from inferencekey.errors import DriftError, InferenceKeyError, TransportError
from inferencekey.manifest import Lock, LockEntry
from inferencekey.models import Plan

__all__ = ["AT_ONCE", "AWAY", "CarryOut", "Incomplete", "Report"]

T = TypeVar("T")

AT_ONCE = 8
"""How many workloads are worked on at a time, as in ``ensure_all``."""

AWAY = 3
"""After so many network errors in a row, without an answer between, nothing new is begun."""

DONE = {"create": "created", "update": "updated", "remove": "removed"}


@attrs.define
class Report:
    """What became of everything.

    Args:
        done: what was done, by action, project, slug and id, in the order it was done.
        failed: why something was not, by ``project/slug``.
        unknown: what may have been done or not, since the answer to it was lost, and why.
        not_done: what was not begun.
        cut_off: what was begun and cut off: it may have been done or not.
        unchanged: how many workloads were as they should be.
        drifted: live workloads that differ and were left as they are.
        kept: what was left alone.
    """

    done: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    failed: dict[str, Exception] = attrs.field(factory=dict[str, Exception])
    unknown: dict[str, Exception] = attrs.field(factory=dict[str, Exception])
    not_done: list[str] = attrs.field(factory=list[str])
    cut_off: list[str] = attrs.field(factory=list[str])
    unchanged: int = 0
    drifted: tuple[Plan, ...] = ()
    kept: tuple[Kept, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "done": self.done,
            "failed": {name: error_dict(error) for name, error in self.failed.items()},
            "unknown": {name: error_dict(error) for name, error in self.unknown.items()},
            "not_done": self.not_done,
            "cut_off": self.cut_off,
            "unchanged": self.unchanged,
            "drifted": [
                {
                    "project": plan.project_slug,
                    "slug": plan.workload_slug,
                    "fields": [change.field for change in plan.changes],
                }
                for plan in self.drifted
            ],
            "left_alone": [kept.to_dict() for kept in self.kept],
        }

    def __str__(self) -> str:
        counts = {action: sum(step["action"] == action for step in self.done) for action in DONE}
        return ", ".join(f"{count} {DONE[action]}" for action, count in counts.items())

    @property
    def left(self) -> str:
        """How many were left as they are, in words."""
        drifted = f", {len(self.drifted)} drifted and left as it is" if self.drifted else ""
        return f"{self.unchanged} unchanged{drifted}"


class Incomplete(SeveralErrors):
    """Not everything was done. Running the command again goes on from here.

    Attributes:
        report: what was done, what was not, and why.
        exit_code: 1, or 130 after Ctrl-C.
    """

    def __init__(self, report: Report, *, interrupted: bool = False, away: bool = False) -> None:
        unfinished: dict[str, Exception] = dict(report.failed)
        for name, error in report.unknown.items():
            unfinished[name] = InferenceKeyError(f"unknown, it may have been done or not: {error}")
        for name in report.cut_off:
            unfinished[name] = InferenceKeyError("cut off: it may have been done or not")
        for name in report.not_done:
            unfinished[name] = InferenceKeyError("not begun")
        why = "the platform cannot be reached any more" if away else "not everything was done"
        unknown = len(report.unknown) + len(report.cut_off)
        super().__init__(
            f"{'interrupted' if interrupted else why}: {report}; "
            f"{len(report.failed)} failed, {unknown} unknown, {len(report.not_done)} not begun. "
            f"{_outlook(report, bool(unknown))}",
            unfinished,
        )
        self.report = report
        self.exit_code = 130 if interrupted else 1


@attrs.define
class CarryOut:
    """One carrying out of a survey.

    Args:
        mgmt: the client.
        found: what to do.
        quiet: show no progress.
    """

    mgmt: AsyncManagementClient
    found: Survey
    quiet: bool
    report: Report = attrs.field(init=False, factory=Report)
    _unneeded: set[str] = attrs.field(init=False, factory=set[str])
    _network_errors: int = attrs.field(init=False, default=0)
    _limit: anyio.CapacityLimiter = attrs.field(
        init=False, factory=lambda: anyio.CapacityLimiter(AT_ONCE)
    )

    async def run(self) -> Report:
        """Do it.

        Raises:
            Incomplete: something failed, or it was interrupted.
            OSError: the lock file cannot be written; nothing was done.
        """
        changes = {name_of(plan): plan for plan in self.found.plans if plan.action != "none"}
        removals = {removal.name: removal for removal in self.found.removals if self.found.prune}
        self.report.unchanged = len(self.found.plans) - len(changes) - len(self.found.drifted)
        self.report.drifted = self.found.drifted
        self.report.kept = self.found.kept
        self._prepare_lock(
            any(plan.action == "create" for plan in changes.values()) or bool(removals)
        )
        with anyio.CancelScope() as scope, interruptible(scope) as told:
            async with anyio.create_task_group() as tasks:
                for name, plan in changes.items():
                    tasks.start_soon(self._step, name, told, self._apply, plan)
            # Nothing is taken away before what comes in its place is there.
            if not (self.report.failed or self.report.unknown):
                async with anyio.create_task_group() as tasks:
                    for name, removal in removals.items():
                        tasks.start_soon(self._step, name, told, self._remove, removal)
        begun = {
            *self.report.failed,
            *self.report.unknown,
            *self.report.cut_off,
            *self._unneeded,
            *(f"{step['project']}/{step['slug']}" for step in self.report.done),
        }
        self.report.not_done.extend(name for name in (*changes, *removals) if name not in begun)
        if self.report.failed or self.report.unknown or self.report.not_done or self.report.cut_off:
            raise Incomplete(self.report, interrupted=told.asked, away=self._away)
        return self.report

    def _prepare_lock(self, needed: bool) -> None:
        def change(lock: Lock) -> Lock:
            for entry in self.found.stale:
                lock = without(lock, entry)
            return lock

        # If it cannot be written, better to know before there is something to record.
        change_lock(self.found.lock, change, always=needed)

    @property
    def _away(self) -> bool:
        return self._network_errors >= AWAY

    async def _step(
        self, name: str, told: Interrupt, act: Callable[[T], Awaitable[None]], what: T
    ) -> None:
        async with self._limit:
            if told.asked or self._away:
                return
            try:
                await act(what)
                self._network_errors = 0
            except Exception as error:  # whatever it is, the others are not cut off for it
                unanswered = isinstance(error, TransportError) and error.status is None
                self._network_errors = self._network_errors + 1 if unanswered else 0
                unknown = isinstance(error, InferenceKeyError) and error.outcome_unknown
                (self.report.unknown if unknown else self.report.failed)[name] = error
                self._tell(
                    f"{name}: {'unknown, it may have been done or not' if unknown else 'failed'}"
                )
            except anyio.get_cancelled_exc_class():
                self.report.cut_off.append(name)
                raise

    async def _apply(self, plan: Plan) -> None:
        began = time.monotonic()
        try:
            ref = await self.mgmt.apply(plan)
        except DriftError as moved:
            if moved.plan is None or moved.plan.action != "none":
                raise
            # Somebody else, maybe an apply of the same manifest, has done just this since the plan was made.
            self.report.unchanged += 1
            self._unneeded.add(name_of(plan))
            self._tell(f"{name_of(plan)}: done by another meanwhile")
            return
        id = None if ref.plan is None else ref.plan.workload_id
        if plan.action == "create" and id is None:
            warning(
                f"{name_of(plan)}: the answer to its creation was lost, and what is there now may be another caller's, who "
                f"made the same; it is not recorded in {self.found.lock}, so --prune and destroy leave it alone"
            )
        elif plan.action == "create" and id is not None:
            with _recording(f"it was created (id {id})"):
                where = (self.mgmt.base_url, plan.project_slug, plan.workload_slug, id)
                change_lock(self.found.lock, lambda lock: lock.record(*where))
        self._did(plan.action, plan.project_slug, plan.workload_slug, id, began)

    async def _remove(self, removal: Removal) -> None:
        began = time.monotonic()
        await self.mgmt.delete(removal.slug, project=removal.project, id=removal.id)
        with _recording("it was removed"):
            entry = LockEntry(self.mgmt.base_url, removal.project, removal.slug, removal.id)
            change_lock(self.found.lock, lambda lock: without(lock, entry))
        self._did("remove", removal.project, removal.slug, removal.id, began)

    def _did(self, action: str, project: str, slug: str, id: str | None, began: float) -> None:
        self.report.done.append({"action": action, "project": project, "slug": slug, "id": id})
        self._tell(f"{project}/{slug}: {DONE[action]} ({time.monotonic() - began:.1f} s)")

    def _tell(self, text: str) -> None:
        if not self.quiet:
            note(text)


def _outlook(report: Report, unknown: bool) -> str:
    if any(isinstance(error, Unrecorded) for error in report.failed.values()):
        return "Not everything that was created is in the lock file."
    if unknown:
        return (
            "What is unknown and was created all the same is not in the lock file: look with `inferencekey list`, and "
            "`inferencekey delete` it if it is there and is to be this manifest's. Run it again to go on."
        )
    return "The lock file has what was created; run it again to go on."


class Unrecorded(CommandError):
    """Something was done, and the lock file does not say so."""


@contextmanager
def _recording(what: str) -> Generator[None]:
    try:
        yield
    except (OSError, InferenceKeyError) as error:
        raise Unrecorded(f"{what}, but the lock file does not say so: {error}") from error
