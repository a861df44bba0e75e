"""All workloads of a platform: their engines, their readiness, and the engine for each call.

Each workload has a loop of its own (see ``workload.py``). On its way to ``ready`` it passes the
contract's phases: ``scheduling`` (an engine is chosen), ``provisioning`` (its model is fetched),
``bootstrapping`` (its process starts); or it ends in ``error``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from inferencekey.local.background import Background
from inferencekey.local.clock import Clock, SystemClock
from inferencekey.local.defaults import DRAIN_SECONDS
from inferencekey.local.engines.engine import Choose, RunningEngine
from inferencekey.local.manager.dependencies import Dependencies
from inferencekey.local.manager.events import ReadinessEvent
from inferencekey.local.manager.refusal import NotServing
from inferencekey.local.manager.target.policy import default_max_replicas
from inferencekey.local.manager.workload import ManagedWorkload
from inferencekey.local.records import StoredStatus, StoredWorkload

__all__ = ["NotServing", "ReadinessEvent", "WorkloadManager"]


class WorkloadManager:
    """All workloads of a platform.

    Args:
        tasks: runs the platform's tasks.
        choose: chooses the engine of a workload.
        save: stores statuses, by workload id; called in a thread.
        log: receives unexpected errors.
        clock: measures schedules, idle times and drains; default: the machine's clock.
        drain: seconds that calls may still take when their engine is to stop.
        max_replicas: engines of one workload, at most; default: one for each processor, and at
            least 4.
        on_forgotten: receives the id of each workload that is deleted.
    """

    def __init__(
        self,
        tasks: Background,
        choose: Choose,
        save: Callable[[dict[str, StoredStatus]], None],
        log: logging.Logger,
        *,
        clock: Clock | None = None,
        drain: float = DRAIN_SECONDS,
        max_replicas: int | None = None,
        on_forgotten: Callable[[str], None] | None = None,
    ) -> None:
        self._tasks = tasks
        self._save = save
        self._log = log
        self._on_forgotten = on_forgotten
        self._dependencies = Dependencies(
            tasks=tasks,
            choose=choose,
            clock=clock if clock is not None else SystemClock(),
            log=log,
            drain_seconds=drain,
            max_replicas=max_replicas if max_replicas is not None else default_max_replicas(),
        )
        self._workloads: dict[str, ManagedWorkload] = {}
        self._unsaved: dict[str, StoredStatus] = {}
        self._wake_saver = anyio.Event()
        self.closing = False

    def start(self, workloads: Iterable[StoredWorkload]) -> None:
        """Begin to manage the stored workloads."""
        self._tasks.start(self._keep_saving)
        for workload in workloads:
            self.apply(workload)

    def apply(self, workload: StoredWorkload) -> None:
        """Manage a new workload, or take over a changed one, whose engines are kept if possible."""
        managed = self._workloads.get(workload.id)
        if managed is not None:
            managed.apply(workload)
            return
        managed = ManagedWorkload(
            workload, self._dependencies, lambda status: self._store(workload.id, status)
        )
        self._workloads[workload.id] = managed
        self._tasks.start(managed.run)

    def forget(self, workload_id: str) -> None:
        """Stop the engines of a deleted workload when their calls have ended."""
        managed = self._workloads.pop(workload_id, None)
        if managed is not None:
            managed.delete()
            self._unsaved.pop(workload_id, None)
        if self._on_forgotten is not None:
            self._on_forgotten(workload_id)

    def close(self) -> None:
        """End all waiting and following of events, because the platform stops."""
        self.closing = True
        for managed in self._workloads.values():
            managed.stop()

    def current_event(self, workload_id: str) -> ReadinessEvent | None:
        """Return a workload's last readiness event; ``None`` when the workload is unknown."""
        managed = self._workloads.get(workload_id)
        return None if managed is None else managed.events.current

    def is_stand_in(self, workload_id: str) -> bool:
        """Return whether it is certain that a stand-in gets the next call."""
        managed = self._workloads.get(workload_id)
        return managed is not None and managed.is_stand_in

    async def follow_events(
        self, workload_id: str, heartbeat: float
    ) -> AsyncGenerator[ReadinessEvent | None]:
        """Yield the current event and those that follow, up to the first that is final.

        Args:
            workload_id: which workload.
            heartbeat: ``None`` is yielded whenever nothing has happened for this many seconds.
        """
        managed = self._workloads.get(workload_id)
        if managed is not None:
            async for event in managed.events.follow(heartbeat, lambda: self.closing):
                yield event

    @asynccontextmanager
    async def acquire(
        self, workload_id: str, patience: float, avoid: Collection[RunningEngine] = ()
    ) -> AsyncGenerator[RunningEngine]:
        """Give the block an engine for a call. The engine has the call until the block ends.

        Args:
            workload_id: which workload.
            patience: seconds to wait while the workload starts.
            avoid: engines that could not be reached a moment ago.

        Raises:
            NotServing: no engine can serve the call, or none is ready in time.
        """
        managed = self._workloads.get(workload_id)
        if managed is None:
            raise NotServing("the workload was deleted", "deleted")
        managed.calls.begin()
        try:
            serving = await managed.calls.acquire(patience, avoid)
            try:
                yield serving.engine
            finally:
                serving.release()
        finally:
            managed.calls.end()

    def _store(self, workload_id: str, status: StoredStatus) -> None:
        self._unsaved[workload_id] = status
        self._wake_saver.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._wake_saver.wait()
            self._wake_saver = anyio.Event()
            # A download changes the status with every percent: only the latest is stored.
            statuses, self._unsaved = self._unsaved, {}
            try:
                await anyio.to_thread.run_sync(self._save, statuses)
            except Exception:
                self._log.exception("cannot store the status of workloads")
