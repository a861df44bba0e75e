"""What goes on now, on one line of a terminal; nothing where stderr is none."""

from __future__ import annotations

import sys


def progress(text: str) -> None:
    """Show what goes on in place of what was shown; an empty text clears it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
