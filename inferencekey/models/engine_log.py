"""The log of a workload's engine."""

from __future__ import annotations

import attrs

__all__ = ["EngineLog"]


@attrs.frozen
class EngineLog:
    """The end of an engine's log, if the platform offers it.

    Args:
        lines: oldest first, without their line ends.
        next: pass it as ``after=`` to get the lines that are written later.
        engine: the engine's program, e.g. ``"llama-server"``.
    """

    lines: tuple[str, ...]
    next: int
    engine: str | None = None
