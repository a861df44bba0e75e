"""Progress on one line of a terminal; nothing if stderr is not a terminal."""

from __future__ import annotations

import sys


def progress(text: str) -> None:
    """Replace the progress line with *text*; an empty string clears it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
