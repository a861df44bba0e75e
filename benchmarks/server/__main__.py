"""``python -m benchmarks.server``: print the port, serve, and end when stdin ends."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys

from benchmarks.loops import new_loop
from benchmarks.server.protocol import Server
from benchmarks.server.responses import render_all


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    responses = render_all()
    gc.collect()
    gc.freeze()
    projects: dict[bytes, list[str]] = {}
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    server = await loop.create_server(
        lambda: Server(responses, projects), sock=listening, backlog=4096
    )
    print(listening.getsockname()[1], flush=True)
    ended = asyncio.Event()

    def on_stdin() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            ended.set()

    loop.add_reader(sys.stdin.fileno(), on_stdin)
    await ended.wait()
    server.close()


# Without uvloop it works at half the speed: enough for counts, not for times.
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(_serve())
