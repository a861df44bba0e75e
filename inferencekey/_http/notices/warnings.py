"""Warnings that point at a line of the user's code, not of this package."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

from inferencekey.printable import one_line

__all__ = ["warn_user"]

# Frames of these folders are skipped: this package, and the event loop that runs it.
_SKIPPED = (str(Path(__file__).parents[2]), str(Path(asyncio.__file__).parent))


def warn_user(message: str, category: type[Warning]) -> None:
    """Issue a warning from the nearest frame outside of the package."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        frame = frame.f_back
        level += 1
    warnings.warn(one_line(message), category, stacklevel=level)
