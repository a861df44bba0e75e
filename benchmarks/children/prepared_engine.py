"""An engine that computes nothing: it answers chats with streams that it rendered before the first request.

``prepared_engine --port PORT``, a workload's command that runs it as a program of the user's own. What a chat is answered with
is said by its ``user``; and ``GET /v1/port`` says where it listens, so that it can be called past the platform as well.
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
    """Chats by what they ask for; every other path says that all is well."""

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
