"""One workload under management: what it is to have, what it has, and the loop that brings the one to the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

import anyio
import anyio.to_thread
import attrs

from inferencekey.errors import InferenceKeyError
from inferencekey.local.background import Background
from inferencekey.local.clock import Clock
from inferencekey.local.engines.engine import Choice, Choose, RunningEngine
from inferencekey.local.manager.balance import least_busy
from inferencekey.local.manager.decide import Desired, Seen, desire, pressure
from inferencekey.local.manager.events import Headline, Stages
from inferencekey.local.manager.policy import Always, Policy, WithLoad, policy_of
from inferencekey.local.manager.refusal import SOON_SECONDS, NotServing, not_scheduled
from inferencekey.local.manager.replica import INTERNAL, InService, Replica
from inferencekey.local.manager.scaling import needed
from inferencekey.local.records import Status, StoredWorkload
from inferencekey.models import Phase

__all__ = ["LAUNCHED_WITH", "Managed", "Means"]

LAUNCHED_WITH: Final = ("backend", "model_name", "config", "worker_id", "gpu_resource_id")
"""What engines are started with: a change of these means other engines."""

NOTICE_SECONDS: Final = 5.0
"""The end of an engine is noticed a moment after it is felt."""

TRIED_AGAIN: Final = " (tried again when the workload is updated or the platform restarts)"


@attrs.frozen(kw_only=True)
class Means:
    """What all workloads of a platform share.

    Args:
        tasks: the platform's own.
        choose: which engine serves a workload.
        clock: for what takes long.
        log: gets what should not have happened.
        drain: seconds that calls in flight get when their engine is to go.
        most: engines of one workload, at most.
    """

    tasks: Background
    choose: Choose
    clock: Clock
    log: logging.Logger
    drain: float
    most: int


@attrs.define(eq=False)
class _Launch:
    """Engines that were started with the same."""

    choice: Choice
    replicas: list[Replica] = attrs.field(factory=list[Replica])

    @property
    def in_service(self) -> list[InService]:
        return [replica.serving for replica in self.replicas if replica.serving is not None]

    @property
    def coming(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.coming]

    @property
    def failure(self) -> str | None:
        return next(
            (replica.failure for replica in self.replicas if replica.failure is not None), None
        )


class Managed:
    """One workload's engines.

    At most two launches are there at a time: the engines that answer, and those that are to take over after a change.

    Args:
        workload: as stored.
        means: what all workloads share.
        on_change: told of each new status.
    """

    def __init__(
        self, workload: StoredWorkload, means: Means, on_change: Callable[[Status], None]
    ) -> None:
        self._workload = workload
        self._means = means
        self._on_change = on_change
        self._policy: Policy = Always(0, 0)
        self._policy_read = False
        self._desired = Desired(replicas=0)
        self._live: _Launch | None = None
        self._next: _Launch | None = None
        self._in_service: list[InService] = []
        self._turn = 0
        self._held = 0
        self._stale = True
        self._failure: str | None = None
        self._last_failure: str | None = None
        self._unserved = False
        self._deleted = False
        self._stopping = False
        self._load = 0
        self._pressure = 0
        self._quiet_since: float | None = None
        self._slots: int | None = None
        self._told_status: tuple[object, ...] = ()
        self._woken = anyio.Event()
        self._scope = anyio.CancelScope()
        self.stages = Stages(means.clock)
        self._refresh()

    @property
    def stand_in(self) -> bool:
        """Whether it is known that a stand-in answers the next call, whether it runs already or not."""
        launches = [launch for launch in (self._live, self._next) if launch is not None]
        return (
            bool(launches)
            and not self._stale
            and not any(launch.choice.installed for launch in launches)
        )

    # What is wanted

    def apply(self, workload: StoredWorkload) -> None:
        """Take a changed workload. Other engines are only started where that is needed, or nothing answers."""
        before, self._workload = self._workload, workload
        self._policy_read = False
        failed = self.stages.current.phase is Phase.ERROR
        if failed or any(
            getattr(before, name) != getattr(workload, name) for name in LAUNCHED_WITH
        ):
            self._stale = True
            self._failure, self._unserved = None, False
            self.stages.begin()
            self._refresh()
        elif self._live is not None:
            # One of several that would not come up is tried again.
            self._live.replicas = [
                replica for replica in self._live.replicas if replica.failure is None
            ]
        self._wake()

    def delete(self) -> None:
        """Let the calls in flight finish, and everything go."""
        self._deleted = True
        self._scope.cancel()
        self._retire(self._next)
        self._retire(self._live)
        self._live = self._next = None
        self._changed()

    def stop(self) -> None:
        """Let go of everybody who waits: the platform is stopping."""
        self._stopping = True
        self.stages.ring()

    # Calls

    async def lend(self, patience: float, avoid: Collection[RunningEngine]) -> InService:
        """Return an engine that has the call now; wait for one while the workload comes up.

        The caller says :meth:`arrive` before and :meth:`depart` after, and gives the engine back in between.

        Args:
            patience: seconds.
            avoid: engines that did not answer a moment ago.

        Raises:
            NotServing: there is none, and either there will be none or it took too long.
        """
        found = None if self._held else self._pick(avoid)  # who came first goes first
        if found is None:
            self._held += 1
            try:
                with anyio.move_on_after(patience):
                    found = await self._next_in_service(avoid)
            finally:
                self._held -= 1
            found = found or self._pick(avoid)
        if found is None:
            current = self.stages.current
            message = f"still coming up ({current.phase}: {current.message})"
            raise NotServing(message, "not_ready", retry_after=SOON_SECONDS)
        found.take()
        return found

    def arrive(self) -> None:
        """Count a call."""
        self._load += 1
        self._weigh()

    def depart(self) -> None:
        """Count it no more."""
        self._load -= 1
        if not self._load:
            self._quiet_since = self._means.clock.monotonic()
        if self._held:
            self.stages.ring()  # there may be room for another
        self._weigh()

    def _weigh(self) -> None:
        now = pressure(self._policy, self._load, self._slots)
        if now != self._pressure:
            self._pressure = now
            self._wake()

    def _pick(
        self, avoid: Collection[RunningEngine], *, with_room: bool = False
    ) -> InService | None:
        if self._stopping:
            return None
        able = self._in_service
        if with_room:
            able = [one for one in able if one.outstanding < one.engine.slots]
        if avoid:
            able = [one for one in able if not any(one.engine is bad for bad in avoid)]
        if not able:
            return None
        place = least_busy([one.outstanding for one in able], self._turn)
        self._turn = place + 1
        return able[place]

    async def _next_in_service(self, avoid: Collection[RunningEngine]) -> InService:
        await self._notice(avoid)
        while True:
            self._refuse()
            # No engine gets more than it computes at once while others are about to share the work.
            found = self._pick(avoid, with_room=self._growing())
            if found is not None:
                return found
            await self.stages.change()

    def _growing(self) -> bool:
        """Whether more engines are about to answer."""
        if self._live is None or self._live.coming:
            return True
        if not isinstance(self._policy, WithLoad):
            return False
        return len(self._live.replicas) < min(self._policy.high, needed(self._load, self._slots))

    async def _notice(self, avoid: Collection[RunningEngine]) -> None:
        """Wait until the end of engines that are to be avoided is known here too."""
        with anyio.move_on_after(NOTICE_SECONDS):
            while self._in_service and self._pick(avoid) is None and not self._stopping:
                await self.stages.change()
        if self._in_service and self._pick(avoid) is None and not self._stopping:
            raise NotServing("the engine does not answer", "died", retry_after=SOON_SECONDS)

    def _refuse(self) -> None:
        """Raise where waiting is in vain."""
        if self._stopping:
            raise NotServing("the platform is stopping", "stopping", retry_after=SOON_SECONDS)
        if self._deleted:
            raise NotServing("the workload was deleted", "deleted")
        if self._stale or self._in_service or self._coming():
            return
        if self._failure is not None or (self._live is not None and self._live.failure is not None):
            raise NotServing(self.stages.current.message, "unserved" if self._unserved else "error")
        if self._desired.closed is not None:
            raise not_scheduled(self._desired.closed, self._means.clock.now())

    def _coming(self) -> list[Replica]:
        return [
            replica
            for launch in (self._next, self._live)
            if launch is not None
            for replica in launch.coming
        ]

    # The loop

    async def run(self) -> None:
        """Bring what there is in line with what is wanted, until the workload is deleted. Nothing is raised."""
        with self._scope:
            while not self._deleted:
                self._woken = anyio.Event()
                look: float | None = None
                try:
                    look = await self._converge()
                except (
                    InferenceKeyError
                ) as error:  # a window in a zone that this machine does not know
                    self._give_up(str(error))
                except Exception:
                    self._means.log.exception(
                        "unexpected, with %s/%s", self._workload.project, self._workload.slug
                    )
                    if self._policy_read:  # not changed meanwhile
                        self._stale = False
                        self._give_up(INTERNAL)
                self._changed()
                with self._means.clock.limit(look):
                    await self._woken.wait()

    def _wake(self) -> None:
        self._woken.set()

    async def _converge(self) -> float | None:
        while self._stale or not self._policy_read:
            await self._take_in()
            if self._deleted:
                return None  # meanwhile; the end of this task comes at the next wait
        clock = self._means.clock
        seen = Seen(
            now=clock.now(),
            monotonic=clock.monotonic(),
            load=self._load,
            quiet_since=self._quiet_since,
            slots=self._slots,
        )
        before, self._desired = self._desired, desire(self._policy, seen, self._desired)
        wanted = self._desired.replicas
        if wanted and not before.replicas and self._next is None:
            self.stages.begin()
        if self._next is not None:
            self._scale(self._next, wanted)
            self._hand_over(self._next, wanted)
        if self._live is not None and self._next is None:
            self._scale(self._live, wanted)
        return self._desired.look

    async def _take_in(self) -> None:
        """Read what the workload is to be; begin with other engines, where that means others."""
        workload, stale = self._workload, self._stale
        self._policy_read = True
        try:
            self._policy = policy_of(workload, self._means.most)
            # In a thread: programs are looked for on the disk.
            choice = await anyio.to_thread.run_sync(self._means.choose, workload) if stale else None
        except InferenceKeyError as error:
            choice = None
            if self._workload is workload:
                self._unserved = True
                self._give_up(str(error))
        if self._workload is not workload or self._deleted:
            return  # changed meanwhile: all over again
        self._stale = False
        if choice is not None:
            self._retire(self._next)
            self._next = _Launch(choice)

    def _give_up(self, why: str) -> None:
        """Nothing here can be what the workload is to be."""
        self._failure = why
        self._retire(self._next)
        self._next = None
        if self._live is not None and not self._live.in_service:
            self._retire(self._live)
            self._live = None

    def _hand_over(self, coming: _Launch, wanted: int) -> None:
        """Put the new engines in the place of the old: when all answer, or nothing is lost by it."""
        old = self._live
        if old is None or not old.in_service or not wanted or len(coming.in_service) == wanted:
            self._live, self._next = coming, None
            self._retire(old)
        elif coming.failure is not None:
            self._failure, self._next = coming.failure, None
            self._retire(coming)

    def _scale(self, launch: _Launch, wanted: int) -> None:
        """Start and stop as few as possible; those that do not answer go first, then those with the highest numbers."""
        there = sorted(
            launch.replicas,
            key=lambda one: (one.serving is not None, one.failure is None, -one.number),
        )
        for replica in there[: max(0, len(there) - wanted)]:
            self._last_failure = replica.failure or self._last_failure
            launch.replicas.remove(replica)
            replica.leave()
        taken = {replica.number for replica in launch.replicas}
        free = [number for number in range(wanted) if number not in taken]
        for number in free[: max(0, wanted - len(taken))]:
            replica = Replica(
                number,
                launch.choice,
                self._changed_and_wake,
                headline=Headline(Phase.PROVISIONING, f"getting an engine for {self._asked_for()}"),
                clock=self._means.clock,
                drain=self._means.drain,
                log=self._means.log,
            )
            launch.replicas.append(replica)
            self._means.tasks.start(replica.run)

    def _retire(self, launch: _Launch | None) -> None:
        for replica in launch.replicas if launch is not None else ():
            replica.leave()

    # What is said

    def _changed_and_wake(self) -> None:
        self._changed()
        self._wake()

    def _changed(self) -> None:
        """Take stock of the engines, and say where the workload is."""
        in_service = [] if self._live is None else self._live.in_service
        if in_service:
            self._slots = min(one.engine.slots for one in in_service)
            self._last_failure = None
        if in_service != self._in_service or self._held:
            self._in_service = in_service
            self.stages.ring()
        self._refresh()
        self._weigh()

    def _refresh(self) -> None:
        headline = self._headline()
        self.stages.enter(headline)
        served_by = self._in_service[0].engine.model_name if self._in_service else None
        status = (headline, served_by, len(self._in_service), self._desired.replicas)
        if status != self._told_status and not self._deleted:
            self._told_status = status
            self._on_change(
                Status(
                    phase=str(headline.phase),
                    message=headline.message,
                    step=headline.step,
                    served_by=served_by,
                    running=len(self._in_service),
                    wanted=self._desired.replicas,
                )
            )

    def _headline(self) -> Headline:
        if self._deleted:
            return Headline(Phase.ERROR, "the workload was deleted")
        if self._stale:
            return Headline(Phase.SCHEDULING, f"looking for an engine for {self._asked_for()}")
        if self._failure is not None:
            still = (
                "; the engine from before the change goes on answering" if self._in_service else ""
            )
            return Headline(Phase.ERROR, f"{self._failure}{still}{TRIED_AGAIN}")
        if self._next is not None:
            coming = self._next.coming
            return coming[0].headline if coming else self._said_last()
        if not self._desired.replicas:
            return self._resting()
        if self._live is None:
            return Headline(Phase.SCHEDULING, f"looking for an engine for {self._asked_for()}")
        if self._in_service:
            return Headline(Phase.READY, self._ready(self._live))
        coming = self._live.coming
        if coming:
            return coming[0].headline
        return Headline(Phase.ERROR, f"{self._live.failure}{TRIED_AGAIN}")

    def _said_last(self) -> Headline:
        """What was said last."""
        current = self.stages.current
        return Headline(current.phase, current.message, current.step)

    def _resting(self) -> Headline:
        if self._desired.closed is not None:
            return Headline(Phase.SCHEDULING, self._desired.closed.message)
        failed = (
            "" if self._last_failure is None else f" (the last start failed: {self._last_failure})"
        )
        return Headline(Phase.READY, f"scaled to zero; the next call starts it{failed}")

    def _ready(self, live: _Launch) -> str:
        parts = [live.choice.ready_message(self._in_service[0].engine.model_name)]
        wanted = self._desired.replicas
        if wanted > 1 or len(self._in_service) != wanted:
            failed = "" if live.failure is None else f" ({live.failure})"
            parts.append(f"{len(self._in_service)} of {wanted} replicas{failed}")
        policy = self._policy
        allowed = (
            policy.replicas
            if isinstance(policy, Always)
            else policy.high
            if isinstance(policy, WithLoad)
            else 1
        )
        asked = policy.asked if isinstance(policy, (Always, WithLoad)) else 1
        if asked > allowed and wanted == allowed:
            parts.append(
                f"{asked} were asked for, this machine runs at most {allowed} of a workload"
            )
        return "; ".join(parts)

    def _asked_for(self) -> str:
        return f"{self._workload.backend} {self._workload.model_name}"
