"""``embed_memory TARGET STYLE URL [--trace]``: the peak memory of one ``embed``.

Its response has 256 × 1024 floats. The process makes one small call before. With ``--trace`` the
result is the peak of what Python allocated during the call, measured by ``tracemalloc``. Without
it, it is the rise of the peak of the resident set.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import resource
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Measure and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("style")
    parser.add_argument("url")
    parser.add_argument("--trace", action="store_true")
    arguments = parser.parse_args()
    module, _, name = arguments.target.partition(":")
    make: Callable[[str], Any] = getattr(importlib.import_module(module), name)
    reading = _Reading(trace=arguments.trace)
    if arguments.style == "async":
        vectors = asyncio.run(_async(make, arguments.url, reading))
    else:
        client = make(arguments.url)
        client.unary()
        reading.begin()
        vectors = client.embed()
        reading.end()
        client.close()
    floats = sum(sys.getsizeof(vector) + sum(map(sys.getsizeof, vector)) for vector in vectors)
    print(json.dumps({"peak": reading.peak, "floats": floats}))


async def _async(make: Callable[[str], Any], url: str, reading: _Reading) -> Any:
    client = make(url)
    await client.unary()
    reading.begin()
    vectors = await client.embed()
    reading.end()
    await client.close()
    return vectors


class _Reading:
    def __init__(self, *, trace: bool) -> None:
        self._trace = trace
        self._before = 0
        self.peak = 0

    def begin(self) -> None:
        if self._trace:
            tracemalloc.start()
        self._before = _high_water()

    def end(self) -> None:
        self.peak = (
            tracemalloc.get_traced_memory()[1] if self._trace else _high_water() - self._before
        )
        tracemalloc.stop()


def _high_water() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kilobytes.
    return peak if sys.platform == "darwin" else peak * 1024
