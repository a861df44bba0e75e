"""The state of one workload: what it must have, what it has, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from inferencekey.local.engines.engine import Choice
from inferencekey.local.manager.replica import Replica, ServingEngine
from inferencekey.local.manager.target.decide import Desired
from inferencekey.local.manager.target.policy import Fixed, Policy
from inferencekey.local.records import StoredWorkload

__all__ = ["Launch", "WorkloadState"]


@attrs.define(eq=False)
class Launch:
    """The replicas that were started in the same way."""

    choice: Choice
    replicas: list[Replica] = attrs.field(factory=list[Replica])

    @property
    def serving(self) -> list[ServingEngine]:
        """The engines that accept calls."""
        return [replica.serving for replica in self.replicas if replica.serving is not None]

    @property
    def starting(self) -> list[Replica]:
        """The replicas that do not serve yet, but may."""
        return [replica for replica in self.replicas if replica.starting]

    @property
    def failure(self) -> str | None:
        """Why one of the replicas has ended; ``None`` when none has."""
        failures = (replica.failure for replica in self.replicas)
        return next((failure for failure in failures if failure is not None), None)

    def forget_failed(self) -> None:
        """Remove the replicas that have failed, so that others are started instead."""
        self.replicas = [replica for replica in self.replicas if replica.failure is None]

    def stop(self) -> None:
        """Stop all replicas."""
        for replica in self.replicas:
            replica.stop()


@attrs.define(eq=False)
class WorkloadState:
    """The state of one workload.

    There are at most two launches at a time: the one that serves, and the one that will replace it
    after a change.

    Args:
        workload: as stored.
        policy: its policy, as last read.
        desired: how many engines there must be.
        live: the launch that serves.
        next: the launch that will replace it.
        serving: the engines that accept calls.
        slots: calls that one engine computes at the same time; ``None``: not known yet.
        unchosen: whether an engine must be chosen for the workload as it is now.
        failure: why no engine can be started for the workload as it is now.
        last_failure: why the last replica that was stopped had failed.
        unserved: whether *failure* is that no engine on this machine can serve the workload.
        deleted: whether the workload was deleted.
        stopping: whether the platform stops.
    """

    workload: StoredWorkload
    policy: Policy = attrs.field(factory=lambda: Fixed(0, 0))
    desired: Desired = attrs.field(factory=lambda: Desired(replicas=0))
    live: Launch | None = None
    next: Launch | None = None
    serving: list[ServingEngine] = attrs.field(factory=list[ServingEngine])
    slots: int | None = None
    unchosen: bool = True
    failure: str | None = None
    last_failure: str | None = None
    unserved: bool = False
    deleted: bool = False
    stopping: bool = False

    @property
    def launches(self) -> Iterator[Launch]:
        """The launches that exist, the new one first."""
        for launch in (self.next, self.live):
            if launch is not None:
                yield launch

    @property
    def starting(self) -> bool:
        """Whether an engine is about to serve."""
        return any(launch.starting for launch in self.launches)

    @property
    def is_stand_in(self) -> bool:
        """Whether it is certain that a stand-in gets the next call, even if none runs now."""
        launches = list(self.launches)
        if self.unchosen or not launches:
            return False
        return not any(launch.choice.installed for launch in launches)

    @property
    def requested(self) -> str:
        """The engine and the model that the workload asks for."""
        return f"{self.workload.backend} {self.workload.model_name}"
