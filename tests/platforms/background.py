"""A local platform in a thread with its own event loop, for synchronous tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inferencekey.local import LocalPlatform

__all__ = ["platform_in_background"]


@contextmanager
def platform_in_background(data_dir: Path) -> Iterator[LocalPlatform]:
    """Run a platform on a free port until the block ends."""
    started = threading.Event()
    found: list[LocalPlatform] = []

    async def serve() -> None:
        async with LocalPlatform(data_dir=data_dir, port=0) as platform:
            found.append(platform)
            stop = asyncio.Event()
            stops.append((asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield found[0]
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
