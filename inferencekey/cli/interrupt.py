"""Ctrl-C while something is being changed: what has begun is finished, nothing new is begun."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio
import attrs

from inferencekey.cli.printing.output import note
from inferencekey.cli.signals import on_signal

__all__ = ["Interrupt", "interruptible"]


@attrs.define
class Interrupt:
    """Whether the user asked the command to stop.

    Attributes:
        requested: nothing new is to begin.
    """

    requested: bool = False

    def is_requested(self) -> bool:
        """Return whether nothing new is to begin."""
        return self.requested


@contextmanager
def interruptible(scope: anyio.CancelScope) -> Generator[Interrupt]:
    """Let the first Ctrl-C (or SIGTERM, or a closed terminal) stop, and the second one cancel.

    A create that is cancelled may have been stored, and its id, which the lock file needs, is then
    unknown. So the first signal only sets a flag.

    Args:
        scope: what the second signal cancels.
    """
    interrupt = Interrupt()

    def stop() -> None:
        if interrupt.requested:
            scope.cancel()
            return
        interrupt.requested = True
        note("stopping when what has begun is finished; press Ctrl-C again to cut it off")

    with on_signal(stop):
        yield interrupt
