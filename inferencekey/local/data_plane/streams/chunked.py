"""A chunked body of events: received as it comes, sent on as whole events. Pure, on bytes."""

from __future__ import annotations

import re
from typing import Final

from inferencekey._core.data.sse import MAX_EVENT_SIZE

__all__ = ["ChunkDecoder", "ChunkedEvents", "EventBuffer"]

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")

# RFC 9112, section 7.1: a size in hex, and extensions that we ignore.
_CHUNK_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})(?:[ \t]*;[^\r\n]*)?\r\n")
_MAX_LINE: Final = 1024


class EventBuffer:
    """Bytes go in, whole events come out, byte for byte."""

    def __init__(self) -> None:
        self._rest = b""
        self._last = b""

    def feed(self, part: bytes) -> bytes:
        """Return the events that *part* completes.

        An event that is longer than any real one is dropped, and the response is then not
        complete.
        """
        data = self._rest + part if self._rest else part
        cut = 0
        for end in _EVENT_ENDS:
            place = data.rfind(end)
            if place >= 0:
                cut = max(cut, place + len(end))
        self._rest = data[cut:]
        if len(self._rest) > MAX_EVENT_SIZE:
            self._rest = b""
        events = data[:cut]
        if events:
            self._last = events
        return events

    def note_sent(self, events: bytes) -> None:
        """Remember whole events that were sent on without :meth:`feed`."""
        self._last = events

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return self._rest

    @property
    def complete(self) -> bool:
        """Whether the last event ends the response: ``[DONE]``, or an error."""
        last = self._last.rstrip()
        line_start = max(last.rfind(b"\n"), last.rfind(b"\r")) + 1
        line = last[line_start:]
        if line.startswith(b'data: {"error"'):
            return True
        return line.removeprefix(b"data:").strip() == b"[DONE]"


class ChunkDecoder:
    """Removes the chunked transfer coding (RFC 9112, section 7.1) from a body."""

    def __init__(self) -> None:
        self._data: bytes = b""
        self._at: int = 0  # what is before it in the data has been read
        self._left: int = 0  # of the current chunk, with the two bytes of its line end
        self._in_trailer: bool = False
        self.ended: bool = False
        """Whether the end of the body has come."""
        self.malformed: bool = False
        """Whether something came that is not in this coding. Nothing after it is read."""

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte begins a chunk."""
        in_chunk = self._data or self._left or self._in_trailer
        return not (in_chunk or self.ended or self.malformed)

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body that *data* has."""
        self._data = self._data + data if self._data else data
        self._at = 0
        parts: list[bytes] = []
        more = True
        while more and not (self.ended or self.malformed):
            if self._left:
                more = self._read_chunk(parts)
            elif self._in_trailer:
                more = self._read_trailer()
            else:
                more = self._read_size()
        self._data = self._data[self._at :]
        self.malformed = self.malformed or len(self._data) > _MAX_LINE
        return b"".join(parts)

    # Each of these returns whether it has read what it was looking for, up to its end.

    def _read_chunk(self, parts: list[bytes]) -> bool:
        if self._left > 2:
            part = self._data[self._at : self._at + self._left - 2]
            parts.append(part)
            self._at += len(part)
            self._left -= len(part)
        line_end = self._data[self._at : self._at + 2]
        if self._left > 2 or len(line_end) < 2:
            return False
        self.malformed = line_end != b"\r\n"
        self._at += 2
        self._left = 0
        return True

    def _read_trailer(self) -> bool:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            return False
        self.ended = end == self._at
        self._at = end + 2
        return True

    def _read_size(self) -> bool:
        size = _CHUNK_SIZE.match(self._data, self._at)
        if size is None:
            self.malformed = b"\n" in self._data[self._at :]
            return False
        self._at = size.end()
        length = int(size[1], 16)
        self._left = length + 2 if length else 0
        self._in_trailer = not length
        return True


class ChunkedEvents:
    """A chunked body of events goes in, chunks of whole events come out.

    Engines nearly always send one chunk that is one whole event. Such a chunk goes out unchanged:
    only its two ends are looked at.
    """

    def __init__(self) -> None:
        self._decoder = ChunkDecoder()
        self._at_boundary = True
        self.events = EventBuffer()
        self.ended = False
        """Whether the end of the body has come. It is not sent on."""
        self.malformed = False
        """Whether the body is not chunked."""

    def feed(self, data: bytes) -> bytes:
        """Return what to send on."""
        # This runs for each read of a stream. With nothing held back, a size in front and a blank
        # line at the end, the read may be exactly one chunk.
        if self._at_boundary and data.endswith(b"\n\n\r\n"):
            size = _CHUNK_SIZE.match(data)
            if size is not None and size.end() + int(size[1], 16) + 2 == len(data):
                self.events.note_sent(data)
                return data
        decoder = self._decoder
        events = self.events.feed(decoder.feed(data))
        self.ended, self.malformed = decoder.ended, decoder.malformed
        self._at_boundary = decoder.at_boundary and not self.events.rest
        if not events:
            return b""
        return b"%x\r\n%b\r\n" % (len(events), events)
