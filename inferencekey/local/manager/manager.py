"""All workloads of a platform: what happens to each, where it is, and the engine that takes a call.

Each is managed by a loop of its own (see ``manager``), on the contract's way to ready: ``scheduling`` (which engine?),
``provisioning`` (its model), ``bootstrapping`` (its process), ``ready``; or ``error``. Whoever watches gets every stage
from the current one on; the store gets the latest.
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
from inferencekey.local.manager.events import Stage
from inferencekey.local.manager.policy import most_replicas
from inferencekey.local.manager.refusal import NotServing
from inferencekey.local.manager.workload import Managed, Means
from inferencekey.local.records import Status, StoredWorkload

__all__ = ["Lifecycle", "NotServing", "Stage"]


class Lifecycle:
    """All workloads of a platform.

    Args:
        tasks: the platform's own.
        choose: which engine serves a workload.
        save: stores statuses, by workload id; called in a thread.
        log: gets what should not have happened.
        clock: for what takes long.
        drain: seconds that calls in flight get when their engine is to go.
        max_replicas: engines of one workload, at most; default: one for each processor, and at least 4.
        on_forgotten: told of each workload that is deleted, by its id.
    """

    def __init__(
        self,
        tasks: Background,
        choose: Choose,
        save: Callable[[dict[str, Status]], None],
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
        self._means = Means(
            tasks=tasks,
            choose=choose,
            clock=clock if clock is not None else SystemClock(),
            log=log,
            drain=drain,
            most=max_replicas if max_replicas is not None else most_replicas(),
        )
        self._managed: dict[str, Managed] = {}
        self._unsaved: dict[str, Status] = {}
        self._wake_saver = anyio.Event()
        self.closing = False

    def start(self, workloads: Iterable[StoredWorkload]) -> None:
        """Begin with the workloads that are stored."""
        self._tasks.start(self._keep_saving)
        for workload in workloads:
            self.apply(workload)

    def apply(self, workload: StoredWorkload) -> None:
        """Take a workload as it is to be: new, or changed. What it has already is kept where it can be."""
        managed = self._managed.get(workload.id)
        if managed is not None:
            managed.apply(workload)
            return
        managed = Managed(workload, self._means, lambda status: self._changed(workload.id, status))
        self._managed[workload.id] = managed
        self._tasks.start(managed.run)

    def forget(self, workload_id: str) -> None:
        """A workload is deleted: take no more calls, let those in flight finish, and tell those who watch."""
        managed = self._managed.pop(workload_id, None)
        if managed is not None:
            managed.delete()
            self._unsaved.pop(workload_id, None)
        if self._on_forgotten is not None:
            self._on_forgotten(workload_id)

    def close(self) -> None:
        """Let go of everybody who waits or watches: the platform is stopping."""
        self.closing = True
        for managed in self._managed.values():
            managed.stop()

    def stage(self, workload_id: str) -> Stage | None:
        """Return where a workload is now."""
        managed = self._managed.get(workload_id)
        return None if managed is None else managed.stages.current

    def stand_in(self, workload_id: str) -> bool:
        """Whether it is known that a stand-in answers the next call."""
        managed = self._managed.get(workload_id)
        return managed is not None and managed.stand_in

    async def stages(self, workload_id: str, beat: float) -> AsyncGenerator[Stage | None]:
        """Yield the current stage and those that follow, to the first that is final, or until the platform stops.

        ``None`` is yielded whenever nothing has happened for *beat* seconds.
        """
        managed = self._managed.get(workload_id)
        if managed is not None:
            async for stage in managed.stages.follow(beat, lambda: self.closing):
                yield stage

    @asynccontextmanager
    async def borrow(
        self, workload_id: str, patience: float, avoid: Collection[RunningEngine] = ()
    ) -> AsyncGenerator[RunningEngine]:
        """Give the block the engine that is to answer a call; it has the call until the block ends.

        Args:
            workload_id: which workload.
            patience: seconds to wait while the workload comes up.
            avoid: engines that could not be reached a moment ago.

        Raises:
            NotServing: there is no engine, and either there will be none or it took too long.
        """
        managed = self._managed.get(workload_id)
        if managed is None:
            raise NotServing("the workload was deleted", "deleted")
        managed.arrive()
        try:
            lent = await managed.lend(patience, avoid)
            try:
                yield lent.engine
            finally:
                lent.give_back()
        finally:
            managed.depart()

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
