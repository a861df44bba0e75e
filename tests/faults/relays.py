"""What stands between a client and a server: an http proxy, and a TLS front."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Proxy", "TLSFront"]


class _Relay:
    """A server in a thread of its own that passes bytes on."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.relay(reader, writer)
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=self._context)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

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
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


async def _both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b""
) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    back.write(first)

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    try:
        ways = [
            asyncio.ensure_future(pass_on(reader, back)),
            asyncio.ensure_future(pass_on(there, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    finally:
        back.close()


class TLSFront(_Relay):
    """Speaks TLS, and passes what it reads to a port of this machine."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(context)
        self._behind = port

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.certificate = writer.get_extra_info("peercert")
        await _both_ways(reader, writer, self._behind)


class Proxy(_Relay):
    """An http proxy that leads every host to one port of this machine.

    Args:
        port: where it leads.
        refuse: with which status it refuses instead.
    """

    def __init__(self, port: int, refuse: int | None = None) -> None:
        super().__init__()
        self._behind = port
        self._refuse = refuse
        self.heads: list[str] = []
        """What it was told, before it passed anything on."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        if self._refuse is not None:
            writer.write(b"HTTP/1.1 %d Go away\r\nContent-Length: 0\r\n\r\n" % self._refuse)
            await writer.drain()
            return
        method, target, _ = head.split(" ", 2)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Here you are\r\n\r\n")
            await _both_ways(reader, writer, self._behind)
        else:
            path = urlsplit(target).path
            await _both_ways(
                reader, writer, self._behind, head.replace(target, path, 1).encode("latin-1")
            )
