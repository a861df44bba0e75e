"""The display of ``wait_until_ready`` and ``wait_all``, on stderr.

On a terminal each workload has a live line. Elsewhere each change is printed as a line. A stream
that cannot take it ends the display, never the wait.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Final, TextIO

from inferencekey._core.control.readiness import describe, is_final
from inferencekey.models import Phase, ReadinessEvent
from inferencekey.printable import one_line, printable

__all__ = ["ReadinessBoard"]

DRAW_INTERVAL: Final = 0.05
"""Seconds between two drawings of a block of several lines, at least."""

CLEAR_LINE: Final = "\x1b[2K"
CLEAR_BELOW: Final = "\x1b[J"


class _Row:
    """The line of one workload."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self.text = ""
        self.at = 0.0
        self.phase: str | None = None
        self.final = False

    def line(self, elapsed: float, columns: int, cut: str) -> str:
        """Return the line, cut to the width of the terminal.

        A line that wraps could not be drawn over.

        Args:
            elapsed: the seconds since the wait began.
            columns: the width of the terminal.
            cut: what shows that a line was cut.
        """
        seconds = self.at if self.final else elapsed
        end = f" ({seconds:.1f} s)"
        room = columns - len(end) - 1
        line = f"{self.slug}: {self.text or 'waiting'}"
        if len(line) > room:
            line = line[: max(room - len(cut), 0)] + cut
        return line + end


class ReadinessBoard:
    """Shows the readiness events of one or more workloads.

    On a terminal it draws a block of lines again and again in the same place. If there are more
    workloads than rows, it shows those that are not ready yet and counts the others.

    Args:
        slugs: the workloads, in the order of the lines.
        out: where it writes; ``sys.stderr`` by default, which is ``None`` in a process that was
            started without one.
    """

    def __init__(self, slugs: Sequence[str], out: TextIO | None = None) -> None:
        self._out: TextIO | None = sys.stderr if out is None else out
        self._live = _is_terminal(self._out)
        self._cut = "…" if self._as_encodable("…") == "…" else "..."
        self._rows = {slug: _Row(self._as_encodable(printable(slug))) for slug in slugs}
        self._drawn = 0  # how many live lines are on the screen; the cursor is after the last one
        self._drawn_at = -DRAW_INTERVAL

    def show(self, slug: str, event: ReadinessEvent, elapsed: float) -> None:
        """Show an event, *elapsed* seconds after the wait began."""
        row = self._rows[slug]
        row.phase = str(event.phase)
        row.final = is_final(event)
        self._update(row, describe(event), elapsed)
        if all(row.final for row in self._rows.values()):
            self._draw(elapsed)
            self.end()

    def show_trouble(self, slug: str, why: str, elapsed: float) -> None:
        """Show that there is no connection, and why."""
        self._update(self._rows[slug], f"no connection, trying again: {why}", elapsed)

    def show_failure(self, slug: str, why: str, elapsed: float) -> None:
        """Show that the wait for a workload has failed, and why."""
        row = self._rows[slug]
        row.phase, row.final = Phase.ERROR, True
        self._update(row, why, elapsed)

    def refresh(self, elapsed: float) -> None:
        """Draw the live lines with the seconds of now."""
        if any(row.text for row in self._rows.values()):
            self._draw(elapsed)

    def end(self) -> None:
        """Leave the live lines as they are, and begin a new line."""
        if self._drawn:
            self._drawn = 0
            self._write("\n")

    def _update(self, row: _Row, text: str, elapsed: float) -> None:
        # A control character of the server's could move the cursor or clear the screen.
        text = self._as_encodable(one_line(text))
        changed = text != row.text
        row.text = text
        row.at = elapsed
        if self._live:
            if len(self._rows) == 1 or elapsed - self._drawn_at >= DRAW_INTERVAL:
                self._draw(elapsed)
        elif changed:
            self._write(f"{row.slug}: {text} ({elapsed:.1f} s)\n")

    def _draw(self, elapsed: float) -> None:
        if not self._live:
            return
        self._drawn_at = elapsed
        lines = self._lines(elapsed)
        block = "\r" + "\n".join(CLEAR_LINE + line for line in lines)
        if self._drawn > 1:
            block = f"\x1b[{self._drawn - 1}A" + block  # up to the first line of the last drawing
        if self._drawn > len(lines):
            block += CLEAR_BELOW
        self._drawn = len(lines)
        self._write(block)

    def _lines(self, elapsed: float) -> list[str]:
        size = shutil.get_terminal_size()
        rows = list(self._rows.values())
        room = max(size.lines - 1, 1)
        if len(rows) <= room:
            return [row.line(elapsed, size.columns, self._cut) for row in rows]
        shown = [row for row in rows if not row.final][: room - 1]
        rest = [row for row in rows if row not in shown]
        lines = [row.line(elapsed, size.columns, self._cut) for row in shown]
        return [*lines, _summary(rest)[: size.columns - 1]]

    def _as_encodable(self, text: str) -> str:
        """Return *text* with escapes for what the stream's encoding does not have."""
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            return text.encode(encoding, "backslashreplace").decode(encoding)
        except (LookupError, UnicodeError):
            return text.encode("ascii", "backslashreplace").decode()

    def _write(self, text: str) -> None:
        if self._out is None:
            return
        try:
            _write_through(self._out, text)
        except (OSError, ValueError):
            # The stream is closed, full or without a reader: the wait goes on without a display.
            self._out = None
            self._live = False
            self._drawn = 0


def _is_terminal(out: TextIO | None) -> bool:
    try:
        return out is not None and out.isatty()
    except (AttributeError, OSError, ValueError):  # closed, or less than a whole stream
        return False


def _write_through(out: TextIO, text: str) -> None:
    """Write *text* past the buffer of the stream, if it has one.

    What a stream could not write stays in its buffer, is tried again when the process ends, and
    makes the exit code 120.

    Raises:
        OSError: the stream cannot take it.
        ValueError: it is closed.
    """
    raw = getattr(getattr(out, "buffer", None), "raw", None)
    if not isinstance(raw, io.RawIOBase):
        out.write(text)
        out.flush()
        return
    out.flush()
    data = memoryview(text.replace("\n", os.linesep).encode(out.encoding, "backslashreplace"))
    while data:
        written = raw.write(data)
        if not written:
            return  # a non-blocking pipe that is full: this part is not shown
        data = data[written:]


def _summary(rows: Sequence[_Row]) -> str:
    """Return the line that counts the workloads that have no line of their own."""
    ready = sum(row.phase == Phase.READY for row in rows)
    failed = sum(row.phase == Phase.ERROR for row in rows)
    counts = {"ready": ready, "failed": failed, "waiting": len(rows) - ready - failed}
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    return f"and {len(rows)} more: {', '.join(parts)}"
