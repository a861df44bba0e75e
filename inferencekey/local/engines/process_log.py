"""The log file of one engine process: opened, rotated, and read back for messages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from inferencekey.local.engines.log_text import read_tail

__all__ = ["LOG_BYTES", "ProcessLog"]

LOG_BYTES: Final = 5 * 1024 * 1024
TAIL_BYTES: Final = 16 * 1024
LAST_LINES: Final = 5
LAST_LINE_CHARACTERS: Final = 300


class ProcessLog:
    """The file that a process writes its stdout and stderr to.

    Args:
        path: the file. It has mode 0600. Above 5 MB it is kept as ``….1``, and a new one begins.
        heading: a line to write before the process starts; empty: none.
        secrets: what the lines that are read must not show.
    """

    def __init__(self, path: Path, *, heading: str = "", secrets: Sequence[str] = ()) -> None:
        self.path = path
        self.start = 0
        """The offset in bytes where the output of the current process begins."""
        self._heading = heading
        self._secrets = tuple(secrets)

    def open(self) -> int:
        """Return a descriptor to append to, after the heading.

        Raises:
            OSError: the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            if self.path.stat().st_size > LOG_BYTES:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if self._heading:
                os.write(descriptor, self._heading_line().encode())
            self.start = os.fstat(descriptor).st_size
        except BaseException:  # a full disk
            os.close(descriptor)
            raise
        return descriptor

    def tail(self, lines: int = 20) -> str:
        """Return the last lines that the current process printed, from at most 16 KiB."""
        part = read_tail(
            self.path, lines, start=self.start, limit=TAIL_BYTES, secrets=self._secrets
        )
        return "\n".join(part.lines)

    def last_words(self) -> str:
        """Return the last lines and the path of the file, to add to a message."""
        lines = [line.strip() for line in self.tail().splitlines()]
        last = [line[:LAST_LINE_CHARACTERS] for line in lines if line][-LAST_LINES:]
        output = ""
        if last:
            output = f"; last output: {' / '.join(last)}"
        return f"{output} (log: {self.path})"

    def _heading_line(self) -> str:
        # The process before this one may have been killed in the middle of a line.
        newline = "" if _ends_in_newline(self.path) else "\n"
        return f"{newline}{self._heading}\n"


def _ends_in_newline(path: Path) -> bool:
    """Return whether a new line can begin at the end of the file: yes for an empty file."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
