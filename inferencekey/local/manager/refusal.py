"""A workload that cannot serve a call, and why."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final, Literal

from inferencekey.local.manager.events import Status
from inferencekey.local.manager.state import WorkloadState
from inferencekey.local.manager.target.decide import Closed

__all__ = ["NotServing", "Reason", "not_ready", "not_scheduled", "unresponsive", "why_not_serving"]

SOON_SECONDS: Final = 2
LONGEST_SECONDS: Final = 3600

Reason = Literal["deleted", "error", "unserved", "not_ready", "not_scheduled", "died", "stopping"]


class NotServing(Exception):
    """A workload cannot serve a call now.

    Args:
        message: why, for people.
        reason: why, in a word: ``unserved`` when nothing on this machine can serve it, ``died``
            when its only engine is gone and the manager has not noticed yet.
        retry_after: seconds after which another try may work; ``None``: it will not.
    """

    def __init__(self, message: str, reason: Reason, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason: Reason = reason
        self.retry_after = retry_after


def not_ready(status: Status) -> NotServing:
    """Return the refusal of a call that has waited long enough for an engine."""
    message = f"still starting ({status.phase}: {status.message})"
    return NotServing(message, "not_ready", retry_after=SOON_SECONDS)


def not_scheduled(closed: Closed, now: datetime) -> NotServing:
    """Return the refusal of a call outside the workload's schedule."""
    retry_after: int | None = None
    if closed.opens is not None:
        seconds = math.ceil((closed.opens - now).total_seconds())
        retry_after = min(max(seconds, 1), LONGEST_SECONDS)
    return NotServing(closed.message, "not_scheduled", retry_after=retry_after)


def unresponsive() -> NotServing:
    """Return the refusal of a call whose engine seems to run but accepts no connection."""
    return NotServing("the engine does not respond", "died", retry_after=SOON_SECONDS)


def why_not_serving(state: WorkloadState, status: Status, now: datetime) -> NotServing | None:
    """Return why waiting for an engine is useless; ``None`` when it is not.

    Args:
        state: the workload's state.
        status: the workload's status.
        now: the time of day.
    """
    if state.stopping:
        return NotServing("the platform is stopping", "stopping", retry_after=SOON_SECONDS)
    if state.deleted:
        return NotServing("the workload was deleted", "deleted")
    if state.unchosen or state.serving or state.starting:
        return None
    launch_failed = state.live is not None and state.live.failure is not None
    if state.failure is not None or launch_failed:
        return NotServing(status.message, "unserved" if state.unserved else "error")
    if state.desired.closed is not None:
        return not_scheduled(state.desired.closed, now)
    return None
