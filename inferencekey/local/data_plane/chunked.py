"""A chunked body of events, read as it comes and written on in whole events. Pure: bytes in, bytes out."""

from __future__ import annotations

import re
from typing import Final

from inferencekey._core.data.sse import MAX_EVENT_SIZE

__all__ = ["Chunks", "Passing", "WholeEvents"]

_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})(?:[ \t]*;[^\r\n]*)?\r\n")
_LONGEST_LINE: Final = 1024


class WholeEvents:
    """Bytes in, the whole events among them out, byte for byte."""

    def __init__(self) -> None:
        self._rest = b""
        self._last = b""

    def feed(self, part: bytes) -> bytes:
        """Return the events that *part* completes.

        An event longer than any real one is dropped: the answer will not be complete.
        """
        data = self._rest + part if self._rest else part
        cut = max(found + len(end) if (found := data.rfind(end)) >= 0 else 0 for end in _ENDS)
        self._rest = data[cut:]
        if len(self._rest) > MAX_EVENT_SIZE:
            self._rest = b""
        events = data[:cut]
        if events:
            self._last = events
        return events

    def went(self, events: bytes) -> None:
        """Take note of whole events that went on without having been fed."""
        self._last = events

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest

    @property
    def complete(self) -> bool:
        """Whether the last event says that the answer is over: ``[DONE]``, or an error."""
        last = self._last.rstrip()
        last = last[max(last.rfind(b"\n"), last.rfind(b"\r")) + 1 :]
        return last.removeprefix(b"data:").strip() == b"[DONE]" or last.startswith(
            b'data: {"error"'
        )


class Chunks:
    """The chunked transfer coding, taken off."""

    def __init__(self) -> None:
        self._held: bytes = b""
        self._left: int = 0
        self._trailing: bool = False
        self.over: bool = False
        """Whether the end of the body has come."""
        self.bad: bool = False
        """Whether something came that is not in that coding: nothing after it is read."""

    @property
    def between(self) -> bool:
        """Whether what comes next begins a chunk."""
        return not (self._held or self._left or self._trailing or self.over or self.bad)

    def feed(self, data: bytes) -> bytes:
        """Return what *data* has of the body."""
        data = self._held + data if self._held else data
        parts: list[bytes] = []
        at = 0
        while not (self.over or self.bad):
            if self._left:
                # The chunk's two bytes of line end are counted in it.
                if self._left > 2:
                    part = data[at : at + self._left - 2]
                    parts.append(part)
                    at += len(part)
                    self._left -= len(part)
                if self._left > 2 or len(data) - at < 2:
                    break
                self.bad = data[at : at + 2] != b"\r\n"
                at += 2
                self._left = 0
            elif self._trailing:
                end = data.find(b"\r\n", at)
                if end < 0:
                    break
                self.over = end == at
                at = end + 2
            else:
                size = _SIZE.match(data, at)
                if size is None:
                    self.bad = b"\n" in data[at:]
                    break
                at = size.end()
                length = int(size[1], 16)
                self._left = length + 2 if length else 0
                self._trailing = not length
        self._held = data[at:]
        self.bad = self.bad or len(self._held) > _LONGEST_LINE
        return b"".join(parts)


class Passing:
    """A chunked body of events in, chunks of whole events out.

    What engines send nearly always, one chunk that is a whole event, goes on as it is, unread but for its ends.
    """

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._plain = True
        self.events = WholeEvents()
        self.over = False
        """Whether the end of the body has come; it is not passed on."""
        self.bad = False
        """Whether what comes is no chunked body."""

    def feed(self, data: bytes) -> bytes:
        """Return what goes on."""
        # A size and a blank line at the end, and nothing waits: is it one chunk?
        if self._plain and data.endswith(b"\n\n\r\n"):
            size = _SIZE.match(data)
            if size is not None and size.end() + int(size[1], 16) + 2 == len(data):
                self.events.went(data)
                return data
        whole = self.events.feed(self._chunks.feed(data))
        self.over, self.bad = self._chunks.over, self._chunks.bad
        self._plain = self._chunks.between and not self.events.rest
        return b"%x\r\n%b\r\n" % (len(whole), whole) if whole else b""
