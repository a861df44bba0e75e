"""Reading an engine's log: bounded, as a terminal would show it, without credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

from inferencekey.credentials import redact, redact_hub_tokens
from inferencekey.printable import shown, without_escape_sequences

__all__ = ["READ_BYTES", "LogPart", "LogPlace", "clean_line", "read_after", "read_tail"]

READ_BYTES: Final = 256 * 1024
"""How much of a log is read at a time, at most."""

LINE_CHARACTERS: Final = 4000

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@frozen
class LogPlace:
    """Where an engine's log is.

    Attributes:
        path: the file.
        start: the offset in bytes where the output of this engine begins.
        secrets: the credentials that this engine may print.
    """

    path: Path
    start: int = 0
    secrets: tuple[str, ...] = ()


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
    """Return the last lines.

    They include a last line that is not finished; :attr:`LogPart.next` is then where it begins.

    Args:
        path: the log; a file that does not exist has no lines.
        lines: how many, at most.
        start: the offset before which nothing is read.
        limit: how many bytes at the end of the file are read, at most.
        secrets: what to hide, in addition to tokens.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = max(min(start, end), end - limit)
            file.seek(begin)
            data = file.read(end - begin)
    except OSError:
        return LogPart((), 0)  # no engine has written yet
    if begin > start:
        # The data begins in the middle of a line: drop that line, unless it is the only one.
        _, newline, rest = data.partition(b"\n")
        data = rest if newline else data
    finished, newline, unfinished = data.rpartition(b"\n")
    found = finished.split(b"\n") if newline else []
    if unfinished:
        found.append(unfinished)
    return LogPart(tuple(_cleaned(found, secrets))[-lines:], end - len(unfinished))


def read_after(
    path: Path, offset: int, lines: int, *, start: int = 0, secrets: Iterable[str] = ()
) -> LogPart:
    """Return the first finished lines after an offset.

    Read on from :attr:`LogPart.next`: no line is missed if that is done often enough.

    Args:
        path: the log; a file that does not exist has no lines.
        offset: where to begin, in bytes. A log that is shorter was replaced, and is read from
            *start*.
        lines: how many, at most.
        start: the offset before which nothing is read.
        secrets: what to hide, in addition to tokens.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            begin = max(offset, start)
            if begin > end:
                begin = min(start, end)
            file.seek(begin)
            data = file.read(READ_BYTES)
    except OSError:
        return LogPart((), 0)
    finished, newline, _ = data.rpartition(b"\n")
    if not newline and len(data) == READ_BYTES:
        finished = data  # one line that is longer than what is read at a time
    elif not newline:
        return LogPart((), begin)
    found = finished.split(b"\n")[:lines]
    # Each line ends in a newline, except the line that is too long.
    taken = sum(map(len, found)) + (len(found) if newline else 0)
    return LogPart(tuple(_cleaned(found, secrets)), begin + taken)


def clean_line(line: str, secrets: Iterable[str] = ()) -> str:
    """Return a line as a terminal shows it, without colours and tokens.

    A progress bar prints ``\\r`` and then writes over the line: only the last version is left.
    """
    line = without_escape_sequences(line.rstrip("\r\n")).rpartition("\r")[2].expandtabs()
    # Redacted last: an escape sequence inside a token would hide the token from the patterns.
    line = _CONTROL.sub("", line)[:LINE_CHARACTERS]
    return redact_hub_tokens(shown(redact(line, secrets)))


def _cleaned(found: Iterable[bytes], secrets: Iterable[str]) -> list[str]:
    secrets = tuple(secrets)  # it may be an iterator, and is used for each line
    return [clean_line(line.decode(errors="replace"), secrets) for line in found]
