"""Free ports for programs that cannot choose one themselves."""

from __future__ import annotations

import socket

from inferencekey.local.engines.process import EngineProcess

__all__ = ["Ports"]


class Ports:
    """The ports that were given to programs.

    A program binds its port some time after it was started. Until then the kernel counts the port
    as free, so we remember which ports are promised.
    """

    def __init__(self) -> None:
        self._taken: dict[int, EngineProcess | None] = {}

    def reserve(self) -> int:
        """Return a port that no process listens on and that no program of ours was given."""
        for port, process in list(self._taken.items()):
            if process is not None and process.exited.is_set():
                del self._taken[port]
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in self._taken:
                self._taken[port] = None
                return port

    def assign(self, port: int, process: EngineProcess) -> None:
        """Keep a reserved port until the process has ended."""
        self._taken[port] = process

    def release(self, port: int) -> None:
        """Free a reserved port whose program did not start."""
        del self._taken[port]
