"""Callbacks run where the caller is: in the awaiting task, or, behind the sync clients, in the calling thread."""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

__all__ = ["in_caller", "run_callback", "warn"]

# Frames of these folders are not the user's: ours, and the loop that runs us.
_NOT_THE_USERS = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))

in_caller: ContextVar[Callable[[Callable[[], object]], Awaitable[object]] | None] = ContextVar(
    "in_caller", default=None
)
"""Set by the bridge: runs a function in the thread that waits for the current call."""


async def run_callback(function: Callable[..., object], *args: Any) -> None:
    """Call *function* where the caller is, and await what it returns if that is awaitable."""
    elsewhere = in_caller.get()
    if elsewhere is not None:
        await elsewhere(lambda: function(*args))
        return
    result = function(*args)
    if inspect.isawaitable(result):
        await result


async def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning that points at the user's own line."""
    await run_callback(_warn, message, category)


def _warn(message: str, category: type[Warning]) -> None:
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
