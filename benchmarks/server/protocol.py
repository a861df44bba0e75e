"""One connection of the server: as little HTTP as the clients need, and not a byte rendered while it is measured."""

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
    """Answers requests in order, keep-alive, by their first two words.

    Args:
        answers: what is said to what.
        projects: slugs of the workloads that were created, by project.
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
        """Return what is said to a request."""
        return self._responses.get(words) or self._control(words, request)

    def _control(self, words: bytes, request: bytes) -> WholeResponse | None:
        """A project that begins empty: what was created in it is listed in it. Not measured by itself."""
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
        """Send a piece, and the next one when it is due: late ones do not push back those after them."""
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
            # The next turn of the loop, so that each piece is a write to the socket of its own.
            self._timer = self._loop.call_soon(self._send, stream, number, due)
