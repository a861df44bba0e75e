"""One connection of the server. It supports as little HTTP as the clients need."""

from __future__ import annotations

import asyncio
import re
from typing import Final, cast

from benchmarks.server.responses import StreamResponse, WholeResponse, render_created, render_list

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SLUG: Final = re.compile(rb'"slug": ?"([^"]+)"')
CREATES: Final = re.compile(rb"(GET|POST) /api/projects/(empty-[^/]+)/workloads")
NOT_FOUND: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n"
    + (b'{"error":"not found"}')
)


class Server(asyncio.Protocol):
    """Responds to requests in order, by method and path, and keeps connections open.

    Args:
        responses: the responses by method and path.
        projects: the slugs of created workloads, by project.
    """

    def __init__(
        self,
        responses: dict[bytes, WholeResponse | StreamResponse],
        projects: dict[bytes, list[str]],
    ) -> None:
        self._responses = responses
        self._projects = projects
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while self._unread:
            head = self._unread.find(b"\r\n\r\n")
            if head < 0:
                return
            length = LENGTH.search(self._unread, 0, head + 2)
            if length is not None:
                end = head + 4 + int(length[1])
            elif b"chunked" in self._unread[:head]:
                last = self._unread.find(b"\r\n0\r\n\r\n", head)
                end = last + 7 if last >= 0 else len(self._unread) + 1
            else:
                end = head + 4
            if len(self._unread) < end:
                return
            request, self._unread = self._unread[:end], self._unread[end:]
            self._respond(request)

    def _respond(self, request: bytes) -> None:
        assert self._transport is not None
        words = request[: request.index(b" HTTP/1.1")]
        response = self.choose(words, request)
        if isinstance(response, WholeResponse):
            self._transport.write(response.data)
        elif response is not None:
            self._send(response, 0, self._loop.time())
        else:
            self._transport.write(NOT_FOUND)

    def choose(self, words: bytes, request: bytes) -> WholeResponse | StreamResponse | None:
        """Return the response to a request."""
        return self._responses.get(words) or self._control(words, request)

    def _control(self, words: bytes, request: bytes) -> WholeResponse | None:
        """Serve a project that is empty at first: list it, or create a workload in it."""
        found = CREATES.fullmatch(words)
        if found is None:
            return None
        slugs = self._projects.setdefault(found[2], [])
        if found[1] == b"GET":
            return render_list(slugs)
        slug = SLUG.search(request)
        assert slug is not None
        slugs.append(slug[1].decode())
        return render_created(slugs[-1])

    def _send(self, stream: StreamResponse, number: int, due: float) -> None:
        """Send a piece, and schedule the next one.

        A late piece does not delay the ones after it.
        """
        if self._transport is None:
            return
        self._transport.write(stream.pieces[number])
        number += 1
        if number == len(stream.pieces):
            self._timer = None
        elif stream.pause:
            due += stream.pause
            self._timer = self._loop.call_at(due, self._send, stream, number, due)
        else:
            # In the loop's next iteration, so that each piece is its own write to the socket.
            self._timer = self._loop.call_soon(self._send, stream, number, due)
