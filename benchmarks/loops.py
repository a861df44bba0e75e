"""An event loop, of uvloop or not, as the process was launched."""

from __future__ import annotations

import asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop, or of asyncio if uvloop cannot be imported."""
    try:
        import uvloop  # pyright: ignore
    except ImportError:
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made
