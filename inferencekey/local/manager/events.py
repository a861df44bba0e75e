"""A workload's way: the stages so far, and a bell for those who watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import anyio
import attrs

from inferencekey.local.clock import Clock
from inferencekey.models import Phase

__all__ = ["Headline", "Stage", "Stages"]

KEPT_STAGES: Final = 512


@attrs.frozen
class Headline:
    """What there is to say about a workload now."""

    phase: Phase
    message: str
    step: str | None = None


@attrs.frozen
class Stage:
    """One readiness event. ``elapsed_ms`` counts from when the workload was last launched."""

    phase: Phase
    message: str
    elapsed_ms: int
    step: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing follows unless something happens."""
        return self.phase in (Phase.READY, Phase.ERROR)

    def to_wire(self) -> dict[str, Any]:
        """Return the event's JSON."""
        wire: dict[str, Any] = {
            "phase": str(self.phase),
            "message": self.message,
            "elapsed_ms": self.elapsed_ms,
        }
        return wire if self.step is None else {**wire, "step": self.step}


class Stages:
    """The stages of one workload.

    Args:
        clock: counts ``elapsed_ms``.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._stages: list[Stage] = []
        self._dropped = 0
        self._headline: Headline | None = None
        self._rung = anyio.Event()

    @property
    def current(self) -> Stage:
        """Where the workload is."""
        return self._stages[-1]

    def begin(self) -> None:
        """Count from now on: the workload is launched."""
        self._began = self._clock.monotonic()

    def enter(self, headline: Headline) -> None:
        """Add a stage, unless it says what the last one said."""
        if headline == self._headline:
            return
        self._headline = headline
        elapsed = round((self._clock.monotonic() - self._began) * 1000)
        self._stages.append(Stage(headline.phase, headline.message, elapsed, headline.step))
        if len(self._stages) > 2 * KEPT_STAGES:
            self._dropped += KEPT_STAGES
            del self._stages[:KEPT_STAGES]
        self.ring()

    def ring(self) -> None:
        """Wake everybody who waits for a change."""
        self._rung.set()
        self._rung = anyio.Event()

    async def change(self) -> None:
        """Wait for the next change, of the stage or of the engines."""
        await self._rung.wait()

    async def follow(
        self, beat: float, stopping: Callable[[], bool]
    ) -> AsyncGenerator[Stage | None]:
        """Yield the current stage and those that follow, to the first that is final, or until the platform stops.

        ``None`` is yielded whenever nothing has happened for *beat* seconds.
        """
        seen = self._dropped + len(self._stages) - 1
        while not stopping():
            # More than were seen, where old ones are dropped meanwhile.
            seen = max(seen, self._dropped)
            fresh = self._stages[seen - self._dropped :]
            if not fresh and not await self._changes_within(beat):
                yield None
            for stage in fresh:
                seen += 1
                yield stage
                if stage.final:
                    return

    async def _changes_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._rung.wait()
            return True
        return False
