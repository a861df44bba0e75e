"""Starts a program as the platform does, prints its process id, and waits to be killed.

`lonely_program.py FOLDER COMMAND…`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from inferencekey.local.engines.process import EngineProcess


async def main() -> None:
    folder = Path(sys.argv[1])
    program = EngineProcess(
        sys.argv[2:],
        folder=folder,
        log=folder / "program.log",
        address="http://127.0.0.1:9",
        env={"PATH": "/usr/bin:/bin"},
    )
    await program.start()
    print(program.pid, flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
