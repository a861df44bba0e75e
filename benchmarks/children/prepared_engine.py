"""``prepared_engine --port PORT``: an engine that computes nothing.

It is the command of a workload. It responds to chats with streams that it rendered before the first
request; the ``user`` of the request selects the stream. ``GET /v1/port`` returns its port, so that
it can also be called directly, without the platform.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from typing import Final

from benchmarks.loops import new_loop
from benchmarks.server.protocol import Server
from benchmarks.server.responses import StreamResponse, WholeResponse, render_engine

USER: Final = re.compile(rb'"user": ?"([a-z0-9-]+)"')


class Engine(Server):
    """Responds to chats with the selected stream, and to every other path with success."""

    def __init__(
        self,
        streams: dict[bytes, StreamResponse],
        responses: dict[bytes, WholeResponse | StreamResponse],
    ) -> None:
        super().__init__(responses, {})
        self._streams = streams

    def choose(self, words: bytes, request: bytes) -> WholeResponse | StreamResponse | None:
        name = USER.search(request) if words == b"POST /v1/chat/completions" else None
        return super().choose(words, request) if name is None else self._streams.get(name[1])


async def _serve(port: int) -> None:
    streams, responses = render_engine(port)
    server = await asyncio.get_running_loop().create_server(
        lambda: Engine(streams, responses), "127.0.0.1", port
    )
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(parser.parse_args().port))
