"""Starts an engine as the platform does, prints its process id, and waits to be killed.

`doomed_platform.py FOLDER PROGRAM OPTIONS…`
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from inferencekey.local.engines.process import EngineProcess


async def main() -> None:
    folder = Path(sys.argv[1])
    engine = EngineProcess(
        [sys.executable, "-P", *sys.argv[2:]], folder=folder / "engine", log=folder / "engine.log"
    )
    await engine.start()
    await engine.wait_healthy(30)
    print(json.dumps({"pid": engine.pid, "create_time": engine.create_time}), flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
