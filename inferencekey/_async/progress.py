"""Progress for people: a live line for each workload on a terminal, plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from inferencekey._core.control.readiness import describe, is_final
from inferencekey.models import Phase, ReadinessEvent

__all__ = ["ReadinessBoard"]

GAP = 0.05
"""Seconds between two drawings of a whole block."""


class _Row:
    """What is known of one workload."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.text = ""
        self.at = 0.0
        self.phase: str | None = None
        self.final = False

    def line(self, elapsed: float, columns: int) -> str:
        """Return the row in one line: a line that wraps could not be taken back."""
        took = f" ({self.at if self.final else elapsed:.1f} s)"
        room = columns - len(took) - 1
        line = f"{self.slug}: {self.text or 'waiting'}"
        return (line if len(line) <= room else line[: max(room - 1, 0)] + "…") + took


class ReadinessBoard:
    """Shows the readiness events of one or more workloads as they come.

    On a terminal it is a block of live lines, drawn over again; of more workloads than it has rows, those that are not
    there yet are shown, and the rest is counted. Anywhere else each change is a line.

    Args:
        slugs: whose, in the order of the lines.
        out: where; ``sys.stderr`` by default.
    """

    def __init__(self, slugs: Sequence[str], out: TextIO | None = None) -> None:
        self._rows = {slug: _Row(slug) for slug in slugs}
        self._out = sys.stderr if out is None else out
        self._live = self._out.isatty()
        self._drawn = 0  # live lines; the cursor stands behind the last one
        self._drawn_at = -GAP

    def show(self, slug: str, event: ReadinessEvent, elapsed: float) -> None:
        """Show an event, *elapsed* seconds after the wait began."""
        row = self._rows[slug]
        row.phase = str(event.phase)
        row.final = is_final(event)
        self._say(row, describe(event), elapsed)
        if all(row.final for row in self._rows.values()):
            self._draw(elapsed)
            self.end()

    def trouble(self, slug: str, why: str, elapsed: float) -> None:
        """Say that there is no connection, and why."""
        self._say(self._rows[slug], f"no connection, trying again: {why}", elapsed)

    def failed(self, slug: str, why: str, elapsed: float) -> None:
        """Say that a workload is not waited for any more, and why."""
        row = self._rows[slug]
        row.phase, row.final = Phase.ERROR, True
        self._say(row, why, elapsed)

    def tick(self, elapsed: float) -> None:
        """Keep the seconds of the live lines moving."""
        if any(row.text for row in self._rows.values()):
            self._draw(elapsed)

    def end(self) -> None:
        """Leave the live lines as they stand; what is printed next begins on a line of its own."""
        if self._drawn:
            self._drawn = 0
            self._write("\n")

    def _say(self, row: _Row, text: str, elapsed: float) -> None:
        text = "".join(c if c.isprintable() else " " for c in text)
        new, row.text, row.at = text != row.text, text, elapsed
        if self._live:
            if len(self._rows) == 1 or elapsed - self._drawn_at >= GAP:
                self._draw(elapsed)
        elif new:
            self._write(f"{row.slug}: {text} ({elapsed:.1f} s)\n")

    def _draw(self, elapsed: float) -> None:
        if not self._live:
            return
        self._drawn_at = elapsed
        lines = self._lines(elapsed)
        back = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
        below = "\x1b[J" if self._drawn > len(lines) else ""
        self._drawn = len(lines)
        self._write(back + "\r" + "\n".join("\x1b[2K" + line for line in lines) + below)

    def _lines(self, elapsed: float) -> list[str]:
        size = shutil.get_terminal_size()
        rows = list(self._rows.values())
        room = max(size.lines - 1, 1)
        if len(rows) <= room:
            return [row.line(elapsed, size.columns) for row in rows]
        shown = [row for row in rows if not row.final][: room - 1]
        rest = [row for row in rows if row not in shown]
        ready = sum(row.phase == Phase.READY for row in rest)
        failed = sum(row.phase == Phase.ERROR for row in rest)
        counts = ((ready, "ready"), (failed, "failed"), (len(rest) - ready - failed, "waiting"))
        summary = f"and {len(rest)} more: " + ", ".join(
            f"{count} {what}" for count, what in counts if count
        )
        return [row.line(elapsed, size.columns) for row in shown] + [summary[: size.columns - 1]]

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._live = False  # nobody is reading any more: waiting goes on without a display
            self._drawn = 0
