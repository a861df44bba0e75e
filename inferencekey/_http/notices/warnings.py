"""Warnings that point at the user's own line, not into the package."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path

__all__ = ["warn_user"]

# Frames of these folders are not the user's: ours, and the loop that runs us.
_NOT_THE_USERS = (str(Path(__file__).parents[2]), str(Path(asyncio.__file__).parent))


def warn_user(message: str, category: type[Warning]) -> None:
    """Issue a warning as from the nearest frame outside the package."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
