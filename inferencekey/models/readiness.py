"""What the platform says while a workload comes up."""

from __future__ import annotations

import attrs

from inferencekey.models.enums import Phase

__all__ = ["ReadinessEvent"]


@attrs.frozen
class ReadinessEvent:
    """One step towards ready.

    Args:
        phase: a :class:`Phase`, or a newer server's own word.
        message: one line for people.
        elapsed_ms: milliseconds since the platform began.
        step: a finer position within the phase, where the platform has one.
    """

    phase: Phase | str
    message: str = ""
    elapsed_ms: int | None = None
    step: str | None = None
