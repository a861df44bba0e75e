"""Ctrl-C while something is being changed: what is under way is finished, nothing new is begun."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio
import attrs

from inferencekey.cli.output import note
from inferencekey.cli.signals import on_signal

__all__ = ["Interrupt", "interruptible"]


@attrs.define
class Interrupt:
    """Whether to stop.

    Attributes:
        asked: begin nothing new.
    """

    asked: bool = False


@contextmanager
def interruptible(scope: anyio.CancelScope) -> Generator[Interrupt]:
    """Turn the first Ctrl-C (or SIGTERM, or a closed terminal) into a request, and the second into the cancellation of *scope*.

    A create that is cut off may have been carried out without anyone knowing its id: nobody could record it.
    """
    told = Interrupt()

    def stop() -> None:
        if told.asked:
            scope.cancel()
            return
        told.asked = True
        note("stopping once what is under way has ended; again to cut it off")

    with on_signal(stop):
        yield told
