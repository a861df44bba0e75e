"""The events that the platform sends while a workload starts."""

from __future__ import annotations

import attrs

from inferencekey.models.enums import Phase

__all__ = ["ReadinessEvent"]


@attrs.frozen
class ReadinessEvent:
    """One step towards ready.

    Args:
        phase: a :class:`Phase`, or a string that only a newer server knows.
        message: one line of text.
        elapsed_ms: milliseconds since the platform began.
        step: a more exact position within the phase, if the platform sends one.
    """

    phase: Phase | str
    message: str = ""
    elapsed_ms: int | None = None
    step: str | None = None
