"""What a workload's engine wrote."""

from __future__ import annotations

import attrs

__all__ = ["EngineLog"]


@attrs.frozen
class EngineLog:
    """The end of an engine's log, as far as the platform offers it.

    Args:
        lines: oldest first, without their line ends.
        next: pass it as ``after=`` to get what is written from here on.
        engine: what runs there, e.g. ``"llama-server"``.
    """

    lines: tuple[str, ...]
    next: int
    engine: str | None = None
