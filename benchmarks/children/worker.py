"""``worker TARGET STYLE URL``: a client's own process.

It reads orders on stdin, and prints a reading for each, in JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmarks.drive import AsyncDriver, Order, SyncDriver
from benchmarks.loops import new_loop
from benchmarks.versions import versions


def main() -> None:
    """Run rounds until stdin ends or a round fails."""
    target, style, url = sys.argv[1:]
    module, _, name = target.partition(":")
    make: Any = getattr(importlib.import_module(module), name)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        driver = AsyncDriver(make, url, runner) if style == "async" else SyncDriver(make, url)
        print(json.dumps(versions()), flush=True)
        for line in sys.stdin:
            try:
                reading = driver.round(Order(**json.loads(line)))
            except Exception as error:
                print(json.dumps({"failed": _describe(error)}), flush=True)
                return
            print(
                json.dumps({"cpu": reading.cpu, "wall": reading.wall, "wait": reading.wait}),
                flush=True,
            )
        driver.close()


def _describe(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
