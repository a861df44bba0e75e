"""A workload that cannot answer, and what its callers are told."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final, Literal

from inferencekey.local.manager.decide import Closed

__all__ = ["Because", "NotServing"]

SOON_SECONDS: Final = 2
LONGEST_SECONDS: Final = 3600

Because = Literal["deleted", "error", "unserved", "not_ready", "not_scheduled", "died", "stopping"]


class NotServing(Exception):
    """A workload cannot answer now.

    Args:
        message: why, for people.
        because: why, in a word: ``unserved`` when nothing on this machine can serve it, ``died`` when the only engine is
            gone and nobody has noticed yet.
        retry_after: seconds after which it is worth trying again; ``None`` when it is not.
    """

    def __init__(self, message: str, because: Because, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.because: Because = because
        self.retry_after = retry_after


def not_scheduled(closed: Closed, now: datetime) -> NotServing:
    """Return the refusal of a call outside the workload's schedule."""
    seconds = None if closed.opens is None else math.ceil((closed.opens - now).total_seconds())
    after = None if seconds is None else min(max(seconds, 1), LONGEST_SECONDS)
    return NotServing(closed.message, "not_scheduled", retry_after=after)
