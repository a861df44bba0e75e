"""One workload: the loop that starts and stops its engines until they are what they must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread

from inferencekey.errors import InferenceKeyError
from inferencekey.local.manager.calls import Calls
from inferencekey.local.manager.dependencies import Dependencies
from inferencekey.local.manager.describe import describe
from inferencekey.local.manager.events import ReadinessEvents, Status
from inferencekey.local.manager.replica import INTERNAL_ERROR, Replica
from inferencekey.local.manager.state import Launch, WorkloadState
from inferencekey.local.manager.target.decide import Observation, decide
from inferencekey.local.manager.target.policy import policy_of
from inferencekey.local.records import StoredStatus, StoredWorkload
from inferencekey.models import Phase

__all__ = ["ManagedWorkload"]

LAUNCHED_WITH: Final = ("backend", "model_name", "config", "worker_id", "gpu_resource_id")
"""The fields that engines are started with. When one changes, other engines must be started."""


class ManagedWorkload:
    """One workload and its engines.

    Args:
        workload: as stored.
        dependencies: what all workloads share.
        on_status: receives each new status.
    """

    def __init__(
        self,
        workload: StoredWorkload,
        dependencies: Dependencies,
        on_status: Callable[[StoredStatus], None],
    ) -> None:
        self._dependencies = dependencies
        self._on_status = on_status
        self._state = WorkloadState(workload)
        self._policy_is_current = False
        self._published: StoredStatus | None = None
        self._wake_up = anyio.Event()
        self._scope = anyio.CancelScope()
        self.events = ReadinessEvents(dependencies.clock, describe(self._state, None))
        self.calls = Calls(self._state, self.events, dependencies.clock, self._wake)
        self._publish()

    @property
    def is_stand_in(self) -> bool:
        """Whether it is certain that a stand-in gets the next call, even if none runs now."""
        return self._state.is_stand_in

    def apply(self, workload: StoredWorkload) -> None:
        """Take over a changed workload.

        Other engines are started only if the change needs that, or if the last start failed.
        """
        state = self._state
        before, state.workload = state.workload, workload
        self._policy_is_current = False
        failed = self.events.current.phase is Phase.ERROR
        if failed or _needs_other_engines(before, workload):
            state.unchosen = True
            state.failure, state.unserved = None, False
            self.events.restart_clock()
            self._publish()
        elif state.live is not None:
            # Where one of several replicas has failed, it is tried again.
            state.live.forget_failed()
        self._wake()

    def delete(self) -> None:
        """Stop the engines when their calls have ended, and accept no more calls."""
        state = self._state
        state.deleted = True
        self._scope.cancel()
        for launch in state.launches:
            launch.stop()
        state.live = state.next = None
        self._update()

    def stop(self) -> None:
        """End all waiting, because the platform stops."""
        self._state.stopping = True
        self.events.notify()

    async def run(self) -> None:
        """Start and stop engines until the workload is deleted. Nothing is raised."""
        with self._scope:
            while not self._state.deleted:
                # Made before the step: what happens during the step leads to another one.
                self._wake_up = anyio.Event()
                recheck: float | None = None
                try:
                    recheck = await self._converge()
                except InferenceKeyError as error:
                    # The policy is one that this machine cannot follow: its window is in a time
                    # zone that is not installed here.
                    self._give_up(str(error))
                except Exception:
                    self._fail_unexpectedly()
                self._update()
                with self._dependencies.clock.limit(recheck):
                    await self._wake_up.wait()

    def _wake(self) -> None:
        self._wake_up.set()

    async def _converge(self) -> float | None:
        """Take one step; return the seconds after which to look again, if nothing wakes us."""
        state = self._state
        while state.unchosen or not self._policy_is_current:
            await self._read_workload()
            if state.deleted:
                return None
        clock = self._dependencies.clock
        seen = Observation(
            now=clock.now(),
            monotonic=clock.monotonic(),
            load=self.calls.load,
            quiet_since=self.calls.quiet_since,
            slots=state.slots,
        )
        before, state.desired = state.desired, decide(state.policy, seen, state.desired)
        wanted = state.desired.replicas
        # A start from zero is a new launch for those who follow the events.
        if wanted and not before.replicas and state.next is None:
            self.events.restart_clock()
        if state.next is not None:
            self._scale(state.next, wanted)
            self._hand_over(state.next, wanted)
        if state.live is not None and state.next is None:
            self._scale(state.live, wanted)
        return state.desired.recheck

    async def _read_workload(self) -> None:
        """Read the policy; begin another launch, if an engine must be chosen."""
        state = self._state
        workload, unchosen = state.workload, state.unchosen
        self._policy_is_current = True
        choice = None
        try:
            state.policy = policy_of(workload, self._dependencies.max_replicas)
            if unchosen:
                # In a thread: programs are looked for on the disk.
                choice = await anyio.to_thread.run_sync(self._dependencies.choose, workload)
        except InferenceKeyError as error:
            if state.workload is workload:
                state.unserved = True
                self._give_up(str(error))
        if state.workload is not workload or state.deleted:
            return  # it was changed meanwhile, and is read again
        state.unchosen = False
        if choice is not None:
            if state.next is not None:
                state.next.stop()
            state.next = Launch(choice)

    def _give_up(self, why: str) -> None:
        """No engine can be started for the workload as it is now."""
        state = self._state
        state.failure = why
        if state.next is not None:
            state.next.stop()
            state.next = None
        if state.live is not None and not state.live.serving:
            state.live.stop()
            state.live = None

    def _fail_unexpectedly(self) -> None:
        state = self._state
        self._dependencies.log.exception(
            "unexpected error in the workload %s/%s", state.workload.project, state.workload.slug
        )
        # Where the workload was changed meanwhile, the new one may work.
        if self._policy_is_current:
            state.unchosen = False
            self._give_up(INTERNAL_ERROR)

    def _hand_over(self, new: Launch, wanted: int) -> None:
        """Replace the old launch when all new engines serve, or when nothing is lost by it."""
        state = self._state
        old = state.live
        nothing_to_lose = old is None or not old.serving or not wanted
        if nothing_to_lose or len(new.serving) == wanted:
            state.live, state.next = new, None
            if old is not None:
                old.stop()
        elif new.failure is not None:
            state.failure, state.next = new.failure, None
            new.stop()

    def _scale(self, launch: Launch, wanted: int) -> None:
        """Start or stop as few replicas as possible."""
        # Those that do not serve are stopped first, then those with the highest numbers.
        ordered = sorted(
            launch.replicas,
            key=lambda replica: (
                replica.serving is not None,
                replica.failure is None,
                -replica.number,
            ),
        )
        for replica in ordered[: max(0, len(ordered) - wanted)]:
            if replica.failure is not None:
                self._state.last_failure = replica.failure
            launch.replicas.remove(replica)
            replica.stop()
        taken = {replica.number for replica in launch.replicas}
        free = [number for number in range(wanted) if number not in taken]
        for number in free[: max(0, wanted - len(taken))]:
            self._start_replica(launch, number)

    def _start_replica(self, launch: Launch, number: int) -> None:
        message = f"starting an engine for {self._state.requested}"
        replica = Replica(
            number,
            launch.choice,
            self._dependencies,
            status=Status(Phase.PROVISIONING, message),
            on_change=self._on_replica_change,
        )
        launch.replicas.append(replica)
        self._dependencies.tasks.start(replica.run)

    def _on_replica_change(self) -> None:
        self._update()
        self._wake()

    def _update(self) -> None:
        """Find the engines that serve now, and publish the status."""
        state = self._state
        serving = [] if state.live is None else state.live.serving
        if serving:
            # The lowest number, so that the load never seems to need too few engines.
            state.slots = min(one.engine.slots for one in serving)
            state.last_failure = None
        if serving != state.serving or self.calls.waiting:
            state.serving = serving
            self.events.notify()
        self._publish()
        self.calls.check_load()

    def _publish(self) -> None:
        """Add an event and store the status, if it has changed."""
        state = self._state
        status = describe(state, self.events.current.status)
        self.events.add(status)
        stored = StoredStatus(
            phase=str(status.phase),
            message=status.message,
            step=status.step,
            served_by=state.serving[0].engine.model_name if state.serving else None,
            running=len(state.serving),
            wanted=state.desired.replicas,
        )
        if stored != self._published and not state.deleted:
            self._published = stored
            self._on_status(stored)


def _needs_other_engines(before: StoredWorkload, after: StoredWorkload) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in LAUNCHED_WITH)
