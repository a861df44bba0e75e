"""The calls of one workload: counted, held while its engines start, and given to engines."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import anyio

from inferencekey.local.clock import Clock
from inferencekey.local.engines.engine import RunningEngine
from inferencekey.local.manager.balance import least_busy
from inferencekey.local.manager.events import ReadinessEvents
from inferencekey.local.manager.refusal import not_ready, unresponsive, why_not_serving
from inferencekey.local.manager.replica import ServingEngine
from inferencekey.local.manager.state import WorkloadState
from inferencekey.local.manager.target.decide import load_level
from inferencekey.local.manager.target.policy import Autoscaling
from inferencekey.local.manager.target.scaling import replicas_needed

__all__ = ["Calls"]

NOTICE_SECONDS: Final = 5.0
"""A call may find that an engine is gone a moment before the manager notices it."""


class Calls:
    """The calls of one workload.

    Args:
        state: the workload's state; it is only read here.
        events: the workload's events, which show every change of the state.
        clock: measures how long there has been no call.
        on_load: called when the load has changed so much that the number of engines may change.
    """

    def __init__(
        self,
        state: WorkloadState,
        events: ReadinessEvents,
        clock: Clock,
        on_load: Callable[[], None],
    ) -> None:
        self.load = 0
        """Calls in progress or waiting."""
        self.quiet_since: float | None = None
        """When the last call ended, in seconds of the monotonic clock."""
        self.waiting = 0
        """Calls that wait for an engine."""
        self._state = state
        self._events = events
        self._clock = clock
        self._on_load = on_load
        self._level = 0
        self._turn = 0

    def begin(self) -> None:
        """Count a call. :meth:`end` must follow."""
        self.load += 1
        self.check_load()

    def end(self) -> None:
        """Count the end of a call."""
        self.load -= 1
        # The number of engines goes down only after a time without calls.
        if not self.load:
            self.quiet_since = self._clock.monotonic()
        if self.waiting:
            self._events.notify()  # there may be room for one that waits
        self.check_load()

    def check_load(self) -> None:
        """Report a change of the load that the number of engines depends on."""
        level = load_level(self._state.policy, self.load, self._state.slots)
        if level != self._level:
            self._level = level
            self._on_load()

    async def acquire(self, patience: float, avoid: Collection[RunningEngine]) -> ServingEngine:
        """Return an engine for a call; wait for one while the workload starts.

        The caller releases it.

        Args:
            patience: seconds to wait.
            avoid: engines that could not be reached a moment ago.

        Raises:
            NotServing: no engine can serve the call, or none is ready in time.
        """
        found: ServingEngine | None = None
        if not self.waiting:  # calls that wait already come first
            found = self._pick(avoid)
        if found is None:
            self.waiting += 1
            try:
                with anyio.move_on_after(patience):
                    found = await self._wait_for_engine(avoid)
            finally:
                self.waiting -= 1
            # The last chance: where engines are still starting, one with all slots in use is
            # better than a refusal.
            found = found or self._pick(avoid)
        if found is None:
            raise not_ready(self._events.current.status)
        found.acquire()
        return found

    def _pick(
        self, avoid: Collection[RunningEngine], *, with_free_slot: bool = False
    ) -> ServingEngine | None:
        if self._state.stopping:
            return None
        able = self._state.serving
        if with_free_slot:
            able = [serving for serving in able if serving.outstanding < serving.engine.slots]
        if avoid:
            # By identity: engines may compare equal.
            avoided = {id(engine) for engine in avoid}
            able = [serving for serving in able if id(serving.engine) not in avoided]
        if not able:
            return None
        place = least_busy([serving.outstanding for serving in able], self._turn)
        self._turn = place + 1
        return able[place]

    async def _wait_for_engine(self, avoid: Collection[RunningEngine]) -> ServingEngine:
        await self._wait_until_noticed(avoid)
        while True:
            refusal = why_not_serving(self._state, self._events.current.status, self._clock.now())
            if refusal is not None:
                raise refusal
            # While more engines are about to share the work, each gets only as many calls as it
            # computes at the same time.
            found = self._pick(avoid, with_free_slot=self._growing())
            if found is not None:
                return found
            await self._events.wait_for_change()

    async def _wait_until_noticed(self, avoid: Collection[RunningEngine]) -> None:
        """Wait until the manager has noticed the end of the engines to avoid."""
        with anyio.move_on_after(NOTICE_SECONDS):
            while self._only_avoided(avoid):
                await self._events.wait_for_change()
        if self._only_avoided(avoid):
            raise unresponsive()

    def _only_avoided(self, avoid: Collection[RunningEngine]) -> bool:
        state = self._state
        return bool(state.serving) and not state.stopping and self._pick(avoid) is None

    def _growing(self) -> bool:
        """Return whether more engines are about to serve."""
        live, policy = self._state.live, self._state.policy
        if live is None or live.starting:
            return True
        if not isinstance(policy, Autoscaling):
            return False
        needed = replicas_needed(self.load, self._state.slots)
        return len(live.replicas) < min(policy.max_replicas, needed)
