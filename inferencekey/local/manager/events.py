"""The readiness events of one workload: those so far, and those to come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import anyio
import attrs

from inferencekey.local.clock import Clock
from inferencekey.models import Phase

__all__ = ["ReadinessEvent", "ReadinessEvents", "Status"]

KEPT_EVENTS: Final = 512


@attrs.frozen
class Status:
    """What a workload does now.

    Args:
        phase: the contract's word.
        message: one line for people.
        step: a finer position within the phase.
    """

    phase: Phase
    message: str
    step: str | None = None


@attrs.frozen
class ReadinessEvent:
    """A status at a moment, as the control plane sends it.

    Args:
        status: what the workload does.
        elapsed_ms: milliseconds since the workload was last launched.
    """

    status: Status
    elapsed_ms: int

    @property
    def phase(self) -> Phase:
        """The contract's word."""
        return self.status.phase

    @property
    def message(self) -> str:
        """One line for people."""
        return self.status.message

    @property
    def final(self) -> bool:
        """Whether no event follows unless something happens."""
        return self.phase in (Phase.READY, Phase.ERROR)

    def to_wire(self) -> dict[str, Any]:
        """Return the event's JSON."""
        wire: dict[str, Any] = {
            "phase": str(self.phase),
            "message": self.message,
            "elapsed_ms": self.elapsed_ms,
        }
        if self.status.step is not None:
            wire["step"] = self.status.step
        return wire


class ReadinessEvents:
    """The readiness events of one workload.

    Args:
        clock: measures ``elapsed_ms``.
        status: the first status.
    """

    def __init__(self, clock: Clock, status: Status) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._events = [ReadinessEvent(status, 0)]
        self._dropped = 0
        self._changed = anyio.Event()

    @property
    def current(self) -> ReadinessEvent:
        """The last event."""
        return self._events[-1]

    def restart_clock(self) -> None:
        """Measure ``elapsed_ms`` from now on, because the workload is launched."""
        self._began = self._clock.monotonic()

    def add(self, status: Status) -> None:
        """Add an event, unless the last one has the same status."""
        if status == self.current.status:
            return
        elapsed_ms = round((self._clock.monotonic() - self._began) * 1000)
        self._events.append(ReadinessEvent(status, elapsed_ms))
        # Half of them at a time, so that the list is not copied for each event.
        if len(self._events) > 2 * KEPT_EVENTS:
            self._dropped += KEPT_EVENTS
            del self._events[:KEPT_EVENTS]
        self.notify()

    def notify(self) -> None:
        """Wake all tasks that wait for a change."""
        self._changed.set()
        # An anyio event cannot be cleared; the next change has an event of its own.
        self._changed = anyio.Event()

    async def wait_for_change(self) -> None:
        """Wait until the status or the engines change."""
        await self._changed.wait()

    async def follow(
        self, heartbeat: float, stopping: Callable[[], bool]
    ) -> AsyncGenerator[ReadinessEvent | None]:
        """Yield the current event and those that follow, up to the first that is final.

        Args:
            heartbeat: ``None`` is yielded whenever nothing has happened for this many seconds.
            stopping: whether the platform stops, which ends this too.
        """
        seen = self._dropped + len(self._events) - 1
        while not stopping():
            # A slow reader misses the events that were dropped meanwhile.
            seen = max(seen, self._dropped)
            fresh = self._events[seen - self._dropped :]
            if not fresh and not await self._changes_within(heartbeat):
                yield None
            for event in fresh:
                seen += 1
                yield event
                if event.final:
                    return

    async def _changes_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._changed.wait()
            return True
        return False
