"""Progress for people: one live line on a terminal, plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import shutil
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
        self._open = False  # the cursor stands behind a live line

    def show(self, event: ReadinessEvent, elapsed: float) -> None:
        """Show an event, *elapsed* seconds after the wait began."""
        self._last = event
        self._say(describe(event), elapsed)
        if is_final(event):
            self.end()

    def trouble(self, why: str, elapsed: float) -> None:
        """Say that there is no connection, and why."""
        self._say(f"no connection, trying again: {why}", elapsed)

    def tick(self, elapsed: float) -> None:
        """Keep the seconds of the live line moving."""
        if self._live and self._last is not None:
            self._say(describe(self._last), elapsed)

    def end(self) -> None:
        """Leave the live line as it stands; what is printed next begins on a line of its own."""
        if self._open:
            self._open = False
            self._write("\n")

    def _say(self, text: str, elapsed: float) -> None:
        took = f" ({elapsed:.1f} s)"
        if self._live:
            # A line that wraps cannot be taken back: it is cut to the terminal's width.
            room = shutil.get_terminal_size().columns - len(took) - 1
            line = f"{self._slug}: {text}"
            self._open = True
            self._write("\r\x1b[2K" + (line if len(line) <= room else line[: max(room - 1, 0)] + "…") + took)
        elif text != self._shown:
            self._shown = text
            self._write(f"{self._slug}: {text}{took}\n")

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._live = self._open = False  # nobody is reading any more: waiting goes on without a display
