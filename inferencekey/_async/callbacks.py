"""Callbacks and warnings of the caller.

They run in the task that awaits the call. Behind a sync client they run in the calling thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from inferencekey._http.notices.warnings import warn_user

__all__ = ["in_caller", "run_callback", "warn"]

in_caller: ContextVar[Callable[[Callable[[], object]], Awaitable[object]] | None] = ContextVar(
    "in_caller", default=None
)
"""Runs a function in the thread that waits for the current call. The bridge sets it."""


async def run_callback(function: Callable[..., object], *args: Any) -> None:
    """Call *function* in the caller's task or thread.

    In a task, what it returns is awaited if that is awaitable.
    """
    run_in_caller = in_caller.get()
    if run_in_caller is not None:
        await run_in_caller(lambda: function(*args))
        return
    result = function(*args)
    if inspect.isawaitable(result):
        await result


async def warn(message: str, category: type[Warning]) -> None:
    """Issue a warning that points at the line of the user's code."""
    await run_callback(warn_user, message, category)
