"""Reading an engine's log: bounded, as a person would see it on a terminal, without credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

from inferencekey.credentials import redact, redact_hub_tokens

__all__ = ["READ_BYTES", "LogPart", "LogPlace", "clean_line", "read_after", "read_tail"]

READ_BYTES: Final = 256 * 1024
"""The most that is read at once."""

LINE_LETTERS: Final = 4000

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@frozen
class LogPlace:
    """Where an engine's log is.

    Attributes:
        path: the file.
        start: the offset in bytes from which it is this engine's.
    """

    path: Path
    start: int = 0


@frozen
class LogPart:
    """Some lines of a log.

    Attributes:
        lines: as a terminal would show them.
        next: the offset in bytes from which to read on.
    """

    lines: tuple[str, ...]
    next: int


def read_tail(
    path: Path, lines: int, *, start: int = 0, limit: int = READ_BYTES, secrets: Iterable[str] = ()
) -> LogPart:
    """Return the last lines, one that is not ended yet included; its beginning is then what is read on from.

    Args:
        path: the log; nothing is in one that is not there.
        lines: how many, at most.
        start: the offset that is not gone behind.
        limit: how many bytes of the end are looked at.
        secrets: what to leave out besides tokens.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = max(min(start, end), end - limit)
            file.seek(begin)
            data = file.read(end - begin)
    except OSError:
        return LogPart((), 0)
    if begin > start:
        # The first line is half a line, unless that is all there is.
        _, newline, rest = data.partition(b"\n")
        data = rest if newline else data
    whole, newline, unfinished = data.rpartition(b"\n")
    found = whole.split(b"\n") if newline else []
    if unfinished:
        found.append(unfinished)
    return LogPart(tuple(_cleaned(found, secrets))[-lines:], end - len(unfinished))


def read_after(
    path: Path, offset: int, lines: int, *, start: int = 0, secrets: Iterable[str] = ()
) -> LogPart:
    """Return the first finished lines from an offset on, or from *start*, if that is later; from there, too, when the log is
    shorter than the offset.

    What was left over is read from `next` on: a reader who comes often enough misses nothing.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = max(offset, start) if max(offset, start) <= end else min(start, end)
            file.seek(begin)
            data = file.read(READ_BYTES)
    except OSError:
        return LogPart((), 0)
    whole, newline, _ = data.rpartition(b"\n")
    if not newline and len(data) == READ_BYTES:
        whole = data  # a line without end
    elif not newline:
        return LogPart((), begin)
    found = whole.split(b"\n")[:lines]
    # Each took its newline with it, but for the line without end.
    taken = sum(map(len, found)) + (len(found) if newline else 0)
    return LogPart(tuple(_cleaned(found, secrets)), begin + taken)


def clean_line(line: str, secrets: Iterable[str] = ()) -> str:
    """Return a line as a terminal shows it at last: what a `\\r` went over is gone, and so are colours and tokens."""
    line = _ESCAPES.sub("", line.rstrip("\r\n")).rpartition("\r")[2]
    line = _CONTROL.sub("", line)[:LINE_LETTERS]
    return redact_hub_tokens(redact(line, secrets))


def _cleaned(found: Iterable[bytes], secrets: Iterable[str]) -> list[str]:
    secrets = tuple(secrets)
    return [clean_line(line.decode(errors="replace"), secrets) for line in found]
