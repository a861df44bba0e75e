"""The status of a workload in words. Pure: from its state to a phase and a message."""

from __future__ import annotations

from typing import Final

from inferencekey.local.manager.events import Status
from inferencekey.local.manager.state import Launch, WorkloadState
from inferencekey.local.manager.target.policy import Autoscaling, Fixed, Policy
from inferencekey.models import Phase

__all__ = ["describe"]

TRIED_AGAIN: Final = " (tried again when the workload is updated or the platform restarts)"


def describe(state: WorkloadState, last: Status | None) -> Status:
    """Return the status of a workload.

    Args:
        state: the workload's state.
        last: the status so far; ``None`` at the beginning.
    """
    if state.deleted:
        return Status(Phase.ERROR, "the workload was deleted")
    if state.unchosen:
        return _choosing(state)
    if state.failure is not None:
        return _failed(state, state.failure)
    if state.next is not None:
        starting = state.next.starting
        if starting:
            return starting[0].status
        # A moment before or after its replicas start; there is nothing new to report.
        return last or _choosing(state)
    if not state.desired.replicas:
        return _at_rest(state)
    if state.live is None:
        return _choosing(state)
    if state.serving:
        return Status(Phase.READY, _ready_message(state, state.live))
    starting = state.live.starting
    if starting:
        return starting[0].status
    return Status(Phase.ERROR, f"{state.live.failure}{TRIED_AGAIN}")


def _choosing(state: WorkloadState) -> Status:
    return Status(Phase.SCHEDULING, f"looking for an engine for {state.requested}")


def _failed(state: WorkloadState, failure: str) -> Status:
    still_serving = ""
    if state.serving:
        still_serving = "; the engine from before the change still serves calls"
    return Status(Phase.ERROR, f"{failure}{still_serving}{TRIED_AGAIN}")


def _at_rest(state: WorkloadState) -> Status:
    """The status of a workload that must have no engine now."""
    if state.desired.closed is not None:
        return Status(Phase.SCHEDULING, state.desired.closed.message)
    message = "scaled to zero; the next call starts it"
    if state.last_failure is not None:
        message += f" (the last start failed: {state.last_failure})"
    return Status(Phase.READY, message)


def _ready_message(state: WorkloadState, live: Launch) -> str:
    parts = [live.choice.ready_message(state.serving[0].engine.model_name)]
    running, wanted = len(state.serving), state.desired.replicas
    if wanted > 1 or running != wanted:
        failure = "" if live.failure is None else f" ({live.failure})"
        parts.append(f"{running} of {wanted} replicas{failure}")
    limit, requested = _limits(state.policy)
    if requested > limit and wanted == limit:
        parts.append(
            f"{requested} replicas were requested,"
            f" but this machine runs at most {limit} for a workload"
        )
    return "; ".join(parts)


def _limits(policy: Policy) -> tuple[int, int]:
    """Return the most engines that run here, and the most that the policy requests."""
    match policy:
        case Fixed(replicas, requested):
            return replicas, requested
        case Autoscaling(_, max_replicas, requested):
            return max_replicas, requested
        case _:
            return 1, 1
