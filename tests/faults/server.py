"""The server, in a thread with its own event loop, so that sync clients can call it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Script = Callable[["Connection", "Request"], Awaitable[None]]
"""Responds to one request. Then the connection waits for the next one, unless it was closed."""


@dataclass
class Request:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    served: int = 0
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed its side."""

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def dribble(self, data: bytes, pause: float = 0.0) -> None:
        for byte in data:
            await self.send(bytes([byte]), pause=pause)

    def close(self) -> None:
        """Close the connection (FIN)."""
        self.writer.close()

    def reset(self) -> None:
        """Reset the connection (RST)."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_gone(self, timeout: float = 10.0) -> bool:
        """Wait until the client closes the connection; return whether it did."""
        try:
            async with asyncio.timeout(timeout):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass
        self.gone.set()
        return True


class FaultServer:
    """Runs scripts: the n-th request gets the n-th script, and later ones get the last script.

    It is a context manager. ``requests`` and ``connections`` have all that arrived at ``url``.

    Args:
        scripts: the scripts.
        host: the address that it listens on.
        room: the size of the kernel's buffer for unread bytes.
    """

    def __init__(self, *scripts: Script, host: str = "127.0.0.1", room: int | None = None) -> None:
        self._host = host
        self._room = room
        self.scripts: Sequence[Script] = scripts
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self.failures: list[BaseException] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)

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
        assert not self.failures, self.failures

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            connection = Connection(reader, writer, len(self.connections))
            self.connections.append(connection)
            try:
                await self._connection(connection)
            except (OSError, asyncio.IncompleteReadError):
                pass
            except asyncio.CancelledError:
                pass
            except BaseException as error:
                self.failures.append(error)
            finally:
                writer.close()

        listening = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        if self._room is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room)
        listening.bind((self._host, 0))
        # With a small room its reader takes little at a time, so the client's bytes stay unsent.
        server = await asyncio.start_server(
            accept, sock=listening, backlog=1024, limit=self._room or 2**18
        )
        self.port: int = listening.getsockname()[1]
        self.url = (
            f"http://[{self._host}]:{self.port}"
            if ":" in self._host
            else f"http://{self._host}:{self.port}"
        )
        self._ready.set()
        await self._stop.wait()
        # A connection that was accepted just now reaches ``accept`` a few turns of the loop later;
        # asyncio would leave it open when the server is closed meanwhile.
        self._loop.remove_reader(listening)
        for _ in range(5):
            await asyncio.sleep(0)
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, connection: Connection) -> None:
        while not connection.writer.is_closing():
            request = await _read_request(connection.reader)
            if request is None:
                connection.gone.set()
                return
            self.requests.append(request)
            connection.served += 1
            script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
            await script(connection, request)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
