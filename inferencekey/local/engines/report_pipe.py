"""The pipe over which an engine of ours reports its address, or why it cannot run."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import orjson

__all__ = ["ReportPipe"]


class ReportPipe:
    """A pipe from a child process: one JSON line, ``{"address": …}`` or ``{"error": …}``.

    The child gets :attr:`write_end` and closes it; we close our copy with :meth:`close_write_end`
    once the child runs, so that the end of the child is the end of the pipe.
    """

    def __init__(self) -> None:
        read_end, self.write_end = os.pipe()
        self._read_end: int | None = read_end

    def close_write_end(self) -> None:
        """Close our copy of the child's end."""
        os.close(self.write_end)

    def close(self) -> None:
        """Close our own end, unless :meth:`read` has taken it. A second call does nothing."""
        if self._read_end is not None:
            os.close(self._read_end)
            self._read_end = None

    async def read(self) -> dict[str, Any] | None:
        """Return the report; ``None`` when the child ended without one."""
        if self._read_end is None:
            return None
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._read_end, "rb", buffering=0)
        self._read_end = None  # the transport closes it from here on
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            line = await reader.readline()
        finally:
            transport.close()
        try:
            report: dict[str, Any] = orjson.loads(line)
        except orjson.JSONDecodeError:
            return None
        return report
