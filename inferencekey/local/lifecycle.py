"""Workloads on their way to ready.

One task for each workload walks it through the contract's phases: ``scheduling`` (which engine?), ``provisioning`` (its
model), ``bootstrapping`` (its process), ``ready``; or ``error``. When the engine dies, it is back to ``bootstrapping``.
Whoever watches gets every stage from the current one on; the store gets the latest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import anyio
import anyio.to_thread
import attrs

from inferencekey.local.background import Background
from inferencekey.local.choose import Choose, RunningEngine
from inferencekey.local.errors import EngineError
from inferencekey.local.store import Status, StoredWorkload
from inferencekey.models import Phase

__all__ = ["Lifecycle", "NotServing", "Stage"]

KEPT_STAGES = 512
NOTICE_SECONDS = 5.0


@attrs.frozen
class Stage:
    """One readiness event. ``elapsed_ms`` counts from when the workload was last launched."""

    phase: Phase
    message: str
    elapsed_ms: int
    step: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing follows unless something happens."""
        return self.phase in (Phase.READY, Phase.ERROR)

    def to_wire(self) -> dict[str, Any]:
        """Return the event's JSON."""
        wire: dict[str, Any] = {
            "phase": str(self.phase),
            "message": self.message,
            "elapsed_ms": self.elapsed_ms,
        }
        return wire if self.step is None else {**wire, "step": self.step}


class NotServing(Exception):
    """A workload cannot answer now.

    Args:
        message: why, for people.
        temporary: whether it is worth trying again soon.
    """

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.message = message
        self.temporary = temporary


class Lifecycle:
    """All workloads of a platform.

    Args:
        tasks: the platform's own.
        choose: which engine serves a workload.
        save: stores statuses, by workload id; called in a thread.
        log: gets what should not have happened.
    """

    def __init__(
        self, tasks: Background, choose: Choose, save: Callable[[dict[str, Status]], None], log: logging.Logger
    ) -> None:
        self._tasks = tasks
        self._choose = choose
        self._save = save
        self._log = log
        self._units: dict[str, _Unit] = {}
        self._unsaved: dict[str, Status] = {}
        self._wake_saver = anyio.Event()
        self.closing = False

    def start(self, workloads: Iterable[StoredWorkload]) -> None:
        """Begin with the workloads that are stored."""
        self._tasks.start(self._keep_saving)
        for workload in workloads:
            self.launch(workload)

    def launch(self, workload: StoredWorkload) -> None:
        """Bring up a new workload, or a changed one anew."""
        unit = self._units.get(workload.id)
        if unit is None:
            unit = self._units[workload.id] = _Unit(lambda status: self._changed(workload.id, status))
        unit.scope.cancel()
        unit.begin(workload)
        self._tasks.start(self._run, unit, unit.scope, workload)

    def forget(self, workload_id: str) -> None:
        """A workload is deleted: give its engine back and tell those who watch."""
        unit = self._units.pop(workload_id, None)
        if unit is not None:
            unit.scope.cancel()
            unit.enter(Phase.ERROR, "the workload was deleted")
            self._unsaved.pop(workload_id, None)

    def close(self) -> None:
        """Let go of everybody who waits or watches: the platform is stopping."""
        self.closing = True
        for unit in self._units.values():
            unit.notify()

    def stage(self, workload_id: str) -> Stage | None:
        """Return where a workload is now."""
        unit = self._units.get(workload_id)
        return None if unit is None else unit.current

    async def stages(self, workload_id: str, beat: float) -> AsyncGenerator[Stage | None]:
        """Yield the current stage and those that follow, to the first that is final, or until the platform stops.

        ``None`` is yielded whenever nothing has happened for *beat* seconds.
        """
        unit = self._units.get(workload_id)
        if unit is None:
            return
        seen = unit.count - 1
        while not self.closing:
            seen, fresh = unit.since(seen)
            if not fresh and not await unit.changes_within(beat):
                yield None
            for stage in fresh:
                seen += 1
                yield stage
                if stage.final:
                    return

    async def engine(self, workload_id: str, patience: float) -> RunningEngine:
        """Return the engine that serves a workload; wait for it while the workload comes up.

        Args:
            workload_id: which.
            patience: seconds.

        Raises:
            NotServing: it is in ``error``, is deleted, or did not become ready in time.
        """
        unit = self._units.get(workload_id)
        if unit is None:
            raise NotServing("the workload is being deleted", temporary=False)
        with anyio.move_on_after(patience):
            while not self.closing:
                if unit.engine is not None:
                    return unit.engine
                if unit.current.phase is Phase.ERROR:
                    raise NotServing(unit.current.message, temporary=False)
                await unit.changed.wait()
        if self.closing:
            raise NotServing("the platform is stopping", temporary=True)
        raise NotServing(f"still coming up ({unit.current.phase}: {unit.current.message})", temporary=True)

    async def lost(self, workload_id: str, engine: RunningEngine) -> bool:
        """Whether *engine* no longer serves the workload: its end is noticed a moment after it is felt."""
        unit = self._units.get(workload_id)
        with anyio.move_on_after(NOTICE_SECONDS):
            while unit is not None and unit.engine is engine:
                await unit.changed.wait()
            return True
        return False

    async def _run(self, unit: _Unit, scope: anyio.CancelScope, workload: StoredWorkload) -> None:
        with scope:
            if scope.cancel_called:
                return  # launched anew before it began
            try:
                await self._serve(unit, workload)
            except EngineError as error:
                unit.enter(Phase.ERROR, f"{error} (tried again when the workload is updated or the platform restarts)")
            except Exception:
                self._log.exception("unexpected, while serving %s/%s", workload.project, workload.slug)
                unit.enter(Phase.ERROR, "internal error; the platform's log says more")

    async def _serve(self, unit: _Unit, workload: StoredWorkload) -> None:
        choice = self._choose(workload)
        unit.enter(Phase.PROVISIONING, f"getting an engine for {workload.backend} {workload.model_name}")
        while True:
            async with choice.hold(unit.step) as engine:
                unit.ready(engine, choice.ready(engine.model_name))
                await engine.exited.wait()
                unit.enter(Phase.BOOTSTRAPPING, f"{engine.describe_exit()}; starting it again")

    def _changed(self, workload_id: str, status: Status) -> None:
        self._unsaved[workload_id] = status
        self._wake_saver.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._wake_saver.wait()
            self._wake_saver = anyio.Event()
            # A download says every percent: only the latest counts.
            statuses, self._unsaved = self._unsaved, {}
            try:
                await anyio.to_thread.run_sync(self._save, statuses)
            except Exception:
                self._log.exception("cannot store the status of workloads")


class _Unit:
    """One workload's way: its stages so far, its engine, and a bell for those who watch."""

    def __init__(self, on_change: Callable[[Status], None]) -> None:
        self._on_change = on_change
        self._stages: list[Stage] = []
        self._dropped = 0
        self._began = time.monotonic()
        self.scope = anyio.CancelScope()
        self.engine: RunningEngine | None = None
        self.changed = anyio.Event()

    @property
    def current(self) -> Stage:
        return self._stages[-1]

    @property
    def count(self) -> int:
        """How many stages there have been."""
        return self._dropped + len(self._stages)

    def since(self, seen: int) -> tuple[int, list[Stage]]:
        """Return the stages after the first *seen*, and how many came before them: more, where old ones are dropped."""
        first = max(seen, self._dropped)
        return first, self._stages[first - self._dropped :]

    def begin(self, workload: StoredWorkload) -> None:
        self._began = time.monotonic()
        self.scope = anyio.CancelScope()
        self.enter(Phase.SCHEDULING, f"looking for an engine for {workload.backend} {workload.model_name}")

    def step(self, phase: str, message: str, step: str | None) -> None:
        """Take what an engine says about its coming up."""
        self.enter(Phase(phase), message, step)

    def ready(self, engine: RunningEngine, message: str) -> None:
        self.enter(Phase.READY, message, engine=engine)

    def enter(
        self, phase: Phase, message: str, step: str | None = None, *, engine: RunningEngine | None = None
    ) -> None:
        self.engine = engine
        self._stages.append(Stage(phase, message, round((time.monotonic() - self._began) * 1000), step))
        if len(self._stages) > 2 * KEPT_STAGES:
            self._dropped += KEPT_STAGES
            del self._stages[:KEPT_STAGES]
        served_by = None if engine is None else engine.model_name
        self._on_change(Status(phase=str(phase), message=message, step=step, served_by=served_by))
        self.notify()

    async def changes_within(self, seconds: float) -> bool:
        """Wait for the next change; whether there was one."""
        with anyio.move_on_after(seconds):
            await self.changed.wait()
            return True
        return False

    def notify(self) -> None:
        """Wake everybody who waits for a change."""
        self.changed.set()
        self.changed = anyio.Event()
