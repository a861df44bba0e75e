"""A platform in a process of its own: prints its address, and runs until it is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from inferencekey.local import LocalPlatform


async def main() -> None:
    async with LocalPlatform(data_dir=Path(sys.argv[1]), port=0) as platform:
        tokens = {
            "sdk": platform.mint_sdk_token("acme"),
            "live": platform.mint_live_token("acme/*"),
        }
        print(json.dumps({"base_url": platform.base_url, **tokens}), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


asyncio.run(main())
