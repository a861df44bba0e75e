"""Progress for people: one live line on a terminal, plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import sys
from typing import TextIO

from inferencekey._core.readiness import describe, is_final
from inferencekey.models import ReadinessEvent

__all__ = ["ReadinessPrinter"]


class ReadinessPrinter:
    """Shows readiness events as they come.

    Args:
        slug: whose.
        out: where; ``sys.stderr`` by default.
    """

    def __init__(self, slug: str, out: TextIO | None = None) -> None:
        self._slug = slug
        self._out = sys.stderr if out is None else out
        self._live = self._out.isatty()
        self._last: ReadinessEvent | None = None
        self._shown = ""

    def show(self, event: ReadinessEvent, elapsed: float) -> None:
        """Show an event, *elapsed* seconds after the wait began."""
        self._last = event
        if self._live:
            self._line(event, elapsed)
            if is_final(event):
                self._write("\n")
        elif (text := describe(event)) != self._shown:
            self._shown = text
            self._write(f"{self._slug}: {text} ({elapsed:.1f} s)\n")

    def trouble(self, why: str, elapsed: float) -> None:
        """Say that there is no connection, and why."""
        text = f"no connection, trying again: {why}"
        if self._live:
            self._write(f"\r\x1b[2K{self._slug}: {text} ({elapsed:.1f} s)")
        elif text != self._shown:
            self._shown = text
            self._write(f"{self._slug}: {text} ({elapsed:.1f} s)\n")

    def tick(self, elapsed: float) -> None:
        """Keep the seconds of the live line moving."""
        if self._live and self._last is not None:
            self._line(self._last, elapsed)

    def end(self) -> None:
        """Leave the live line as it stands: the wait ended without a final event."""
        if self._live and self._last is not None and not is_final(self._last):
            self._write("\n")

    def _line(self, event: ReadinessEvent, elapsed: float) -> None:
        self._write(f"\r\x1b[2K{self._slug}: {describe(event)} ({elapsed:.1f} s)")

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._live = False  # nobody is reading any more: waiting goes on without a display
