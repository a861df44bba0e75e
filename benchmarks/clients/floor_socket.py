"""The lowest floor in asyncio: its own protocol on the raw transport, and orjson.

The request is one prepared head and a body. The head of the response is skipped, its length or its
chunks are decoded in Python, and nothing is checked. Connections are kept in a list. The reader is
woken at each read, as in a client.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast
from urllib.parse import urlsplit

import orjson

from benchmarks.wire import KEY, TEXTS, chat_body, chat_path, embed_path


class FloorSocket:
    """The hand-written client."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._fixed = (
            f"Host: {parts.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._idle: list[_Connection] = []

    async def _send(self, path: str, body: object) -> _Connection:
        if self._idle:
            connection = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                lambda: _Connection(loop), self._host, self._port
            )
        data = orjson.dumps(body)
        connection.transport.write(
            f"POST {path} HTTP/1.1\r\n{self._fixed}{len(data)}\r\n\r\n".encode() + data
        )
        return connection

    async def _whole(self, path: str, body: object) -> bytes:
        connection = await self._send(path, body)
        data = await connection.read()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += await connection.read()
        at = data.index(b"Content-Length: ") + 16
        length = int(data[at : data.index(b"\r\n", at)])
        parts = [data[end + 4 :]]
        missing = length - len(parts[0])
        while missing > 0:
            parts.append(await connection.read())
            missing -= len(parts[-1])
        self._idle.append(connection)
        return b"".join(parts)

    async def unary(self) -> str:
        document = orjson.loads(
            await self._whole(chat_path("unary"), chat_body("unary", stream=False))
        )
        text: str = document["choices"][0]["message"]["content"]
        return text

    async def stream(self, slug: str) -> list[str]:
        loads = orjson.loads
        texts: list[str] = []
        connection = await self._send(chat_path(slug), chat_body(slug, stream=True))
        body = _Chunked(connection)
        rest = b""
        while data := await body.read():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event == b"data: [DONE]":
                    continue
                delta = loads(event[6:])["choices"][0]["delta"]
                texts.append(delta.get("content") or "")
        self._idle.append(connection)
        return texts

    async def first(self) -> float:
        first = 0.0
        connection = await self._send(chat_path("short"), chat_body("short", stream=True))
        body = _Chunked(connection)
        rest = b""
        while data := await body.read():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event != b"data: [DONE]":
                    orjson.loads(event[6:])["choices"][0]["delta"].get("content")
                    first = first or time.perf_counter()
        self._idle.append(connection)
        return first

    async def embed(self) -> list[list[float]]:
        document = orjson.loads(await self._whole(embed_path(), {"model": "embed", "input": TEXTS}))
        return [item["embedding"] for item in document["data"]]

    async def close(self) -> None:
        for connection in self._idle:
            connection.transport.close()


class _Connection(asyncio.Protocol):
    """A connection: the bytes that have arrived, and the reader that waits for them."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = b""
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None

    async def read(self) -> bytes:
        if not self._arrived:
            self._waiter = self._loop.create_future()
            await self._waiter
        data, self._arrived = self._arrived, b""
        return data


class _Chunked:
    """The body of one chunked response. ``read`` returns ``b""`` at its end."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._unread = b""
        self._begun = False
        self._ended = False

    async def read(self) -> bytes:
        while not self._ended:
            data = self._unread + await self._connection.read()
            at = 0
            if not self._begun:
                at = data.find(b"\r\n\r\n") + 4
                if at < 4:
                    self._unread = data
                    continue
                self._begun = True
            parts: list[bytes] = []
            while (line := data.find(b"\r\n", at)) >= 0:
                begin = line + 2
                end = begin + int(data[at:line], 16)
                if len(data) < end + 2:
                    break
                if begin == end:
                    self._ended = True
                    break
                parts.append(data[begin:end])
                at = end + 2
            self._unread = data[at:]
            if parts:
                return b"".join(parts)
        return b""
