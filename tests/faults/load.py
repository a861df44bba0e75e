"""For load tests: a quick server, and the number of open files of this process."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["QuickServer", "allow_files", "open_files", "until"]

ANSWER = b'{"choices": [{"message": {"content": "%s"}, "finish_reason": "stop"}], "model": "m"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Quick(asyncio.Protocol):
    """Responds with the prompt, whole or streamed, after the expected number of requests."""

    def __init__(self, server: QuickServer) -> None:
        self.server = server
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.live.add(self)
        self.server.most = max(self.server.most, len(self.server.live))

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.live.discard(self)

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self.data = b""
        prompt = body.partition(b'"content":"')[2].partition(b'"')[0]
        self.server.gather(self, prompt, b'"stream":true' in body)

    def answer(self, prompt: bytes, streamed: bool) -> None:
        if not streamed:
            whole = ANSWER % prompt
            self.transport.write(HEAD % len(whole) + whole)
            return
        self.transport.write(STREAM)
        self.say(prompt, 0)

    def say(self, prompt: bytes, number: int) -> None:
        if number < 5:
            event = b'data: {"choices": [{"delta": {"content": "%s.%d "}}]}\n\n' % (prompt, number)
            self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.server.loop.call_later(0.01, self.say, prompt, number + 1)
        else:
            self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


class QuickServer:
    """A quick server in a thread of its own.

    Args:
        together: respond only after this number of requests, so that they overlap.
    """

    def __init__(self, together: int = 1) -> None:
        self.live: set[_Quick] = set()
        self.most = 0
        self._together = together
        self._waiting: list[tuple[_Quick, bytes, bool]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def gather(self, connection: _Quick, prompt: bytes, streamed: bool) -> None:
        self._waiting.append((connection, prompt, streamed))
        if len(self._waiting) >= self._together:
            waiting, self._waiting = self._waiting, []
            for each, its_prompt, its_streamed in waiting:
                each.answer(its_prompt, its_streamed)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self.loop.create_server(lambda: _Quick(self), "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for each in list(self.live):
            each.transport.abort()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


def allow_files(number: int) -> None:
    """Raise this process's soft limit of open files."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (number if hard == resource.RLIM_INFINITY else min(number, hard), hard),
        )


def open_files() -> int:
    """Return how many files this process has open; 0 if the system does not list them."""
    gc.collect()
    if sys.platform != "linux":
        return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the descriptor of the directory itself
            # uvloop keeps /dev/null open after its first use of it.
            count += os.readlink(f"/proc/self/fd/{name}") != os.devnull
    return count


def until(true: Callable[[], object], timeout: float = 10.0) -> bool:
    """Wait until something is true; return whether it became true in time."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
