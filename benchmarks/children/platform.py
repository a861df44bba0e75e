"""``platform up|engine FOLDER``: the local platform, or one stand-in engine by itself.

The process ends when its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from benchmarks.loops import new_loop
from inferencekey.local import LocalPlatform
from inferencekey.local.engines.stand_ins.kinds import Kind
from inferencekey.local.engines.stand_ins.pool import StandInEngines


async def _platform(folder: Path) -> None:
    async with LocalPlatform(data_dir=folder, port=0) as platform:
        result = {
            "url": platform.base_url,
            "sdk_token": platform.mint_sdk_token("bench"),
            "api_key": platform.mint_live_token("bench/*"),
            "pid": os.getpid(),
        }
        print(json.dumps(result), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _quiet(phase: str, message: str, step: str | None) -> None:
    """Discard progress."""


async def _engine(folder: Path) -> None:
    engines = StandInEngines(folder)
    engine = await engines.acquire(Kind.CHAT, _quiet)
    print(
        json.dumps({"url": engine.address, "api_key": engine.api_key, "model": engine.model_name}),
        flush=True,
    )
    await asyncio.to_thread(sys.stdin.read)
    await engines.aclose()


def main() -> None:
    """Run it."""
    what, folder = sys.argv[1:]
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run((_platform if what == "up" else _engine)(Path(folder)))
