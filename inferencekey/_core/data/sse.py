"""Server-sent events: a decoder from bytes to events.

The rules are those of the WHATWG HTML standard, section "Interpreting an event stream"
(https://html.spec.whatwg.org/multipage/server-sent-events.html): lines end in LF, CRLF or CR; one
leading BOM is dropped; a line that starts with a colon is a comment; several ``data`` lines are
joined by LF; a blank line dispatches the event; an event without data is not dispatched; unknown
fields are ignored; ``retry`` must be all digits, and ``id`` must not contain NUL. Bytes without a
blank line after them are not an event.

The data of an event stays bytes, because JSON decoders take bytes.

Engines and what stands in front of them write more than the standard knows. For them there is the
loose way of reading, which differs in three points:

* A field ``error`` is an event of the type ``error`` (llama-server wrote errors so until 2025).
* Lines that are no fields are kept, as an event of the type :data:`UNFRAMED`: the words of a server
  that has failed may be in them.
* Events that only keep the connection alive are left out: those with empty data, and pings.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "MAX_EVENT_SIZE",
    "UNFRAMED",
    "Event",
    "EventTooLarge",
    "SSEDecoder",
    "looks_like_events",
]

MAX_EVENT_SIZE: Final = 16 * 1024 * 1024

UNFRAMED: Final = "\n"
"""The type of an event whose data are lines that are no fields. No stream can give this type."""

_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = (b"data", b"event", b"id", b"retry", b"error")
# A later version of a protocol may add a field. Its name is one lower-case word.
_NEW_FIELD: Final = re.compile(rb"[a-z][a-z0-9_-]*:")
_KEEP_ALIVES: Final = frozenset({"ping", "keepalive", "keep-alive", "keep_alive", "heartbeat"})
_EVENTS: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry):)")


def looks_like_events(data: bytes) -> bool:
    """Whether these first bytes of a body begin an event stream."""
    return _EVENTS.match(data) is not None


class EventTooLarge(ValueError):
    """One event is longer than the limit."""


class Event:
    """One dispatched event.

    Args:
        data: the joined ``data`` lines.
        event: the event's type; ``"message"`` if the stream gives none.
        id: the last event id as of this event.
    """

    __slots__ = ("data", "event", "id")

    def __init__(self, data: bytes, event: str = "message", id: str = "") -> None:
        self.data = data
        self.event = event
        self.id = id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (self.data, self.event, self.id) == (other.data, other.event, other.id)

    def __repr__(self) -> str:
        return f"Event(data={self.data!r}, event={self.event!r}, id={self.id!r})"


class SSEDecoder:
    """An incremental decoder: the events do not depend on how the bytes are split.

    Args:
        max_event_size: the longest event in bytes, with the comments between two blank lines.
        loose: read in the loose way.
    """

    __slots__ = (
        "_at_start",
        "_id",
        "_loose",
        "_max",
        "_pending",
        "_scanned",
        "_skip_lf",
        "_too_large",
        "retry",
    )

    def __init__(self, max_event_size: int = MAX_EVENT_SIZE, *, loose: bool = False) -> None:
        self._max = max_event_size
        self._loose = loose
        self._pending = bytearray()  # an unfinished event, line ends already LF
        self._scanned = 0  # the length of _pending that is known to contain no blank line
        self._skip_lf = False  # the last byte was CR, so a LF that follows belongs to it
        self._at_start = True
        self._too_large = False  # raised only after the events before it were returned
        self._id = ""
        self.retry: int | None = None
        """The reconnection time in milliseconds that the server asked for."""

    @property
    def pending(self) -> bool:
        """Whether an event has begun and has not ended."""
        return bool(self._pending.strip(b"\n"))

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that end in them, in order.

        Raises:
            EventTooLarge: an event is longer than the limit. The events before it were returned,
                and nothing more can be decoded.
        """
        return [Event(one) if isinstance(one, bytes) else one for one in self.feed_plain(data)]

    def feed_plain(self, data: bytes) -> list[bytes] | list[bytes | Event]:
        """Return the same as ``feed``, with an event that has nothing but data as its bytes.

        That saves one object per event.
        """
        if self._too_large:
            raise self._refusal()
        if self._at_start:
            data = self._without_bom(data)
            if self._at_start:
                return []
        if self._skip_lf and data:
            self._skip_lf = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        pending = self._pending
        if pending:
            pending += data
            end = pending.rfind(b"\n\n", max(0, self._scanned - 1))
            if end < 0:
                self._scanned = len(pending)
                if self._passes_cap(pending):
                    self._too_large = True
                    raise self._refusal()
                return []
            whole = bytes(pending[:end])
            del pending[: end + 2]
        else:
            end = data.rfind(b"\n\n")
            whole = data[:end] if end >= 0 else b""
            pending += data[end + 2 :] if end >= 0 else data
        self._scanned = len(pending)
        events = self._whole_events(whole) if whole else []
        if not self._too_large and self._passes_cap(pending):
            self._too_large = True
        if self._too_large and not events:
            raise self._refusal()
        return events

    def finish(self) -> Event | None:
        """Report that the bytes have ended, and return the unfinished event, if there is one.

        To the standard it is not an event. A caller that recognises it as the last one (``[DONE]``)
        may accept it; for any other caller it means that the stream was cut.
        """
        return next(iter(self.rest()), None)

    def rest(self) -> list[Event]:
        """Return the same as ``finish``; the loose way may find stray lines as well."""
        rest = bytes(self._pending)
        self._pending.clear()
        self._scanned = 0
        if self._loose:
            # The last line was cut, and the beginning of a field's name is not the server's words.
            before, _, last = rest.rpartition(b"\n")
            if any(name.startswith(last) for name in _FIELDS):
                rest = before
        return self._events(rest)

    def _without_bom(self, data: bytes) -> bytes:
        head = bytes(self._pending) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._pending[:] = head
            return b""
        self._pending.clear()
        self._at_start = False
        return head.removeprefix(_BOM)

    def _passes_cap(self, block: bytes | bytearray) -> bool:
        # The bytes of the blank line do not count. With them, it would depend on how the bytes were
        # split whether an event passes the limit.
        return len(block) > self._max and len(block.strip(b"\n")) > self._max

    def _refusal(self) -> EventTooLarge:
        return EventTooLarge(f"an event is longer than {self._max} bytes")

    def _whole_events(self, whole: bytes) -> list[bytes] | list[bytes | Event]:
        # Nearly all streams of real models have one data line in each event and nothing else. Then
        # the only line ends are the blank lines between the events, and one split separates them.
        if whole.startswith(b"data: ") and not self._id and len(whole) <= self._max:
            plain = whole[6:].split(b"\n\ndata: ")
            if whole.count(b"\n") == 2 * len(plain) - 2 and not (self._loose and b"" in plain):
                return plain
        events: list[bytes | Event] = []
        for block in whole.split(b"\n\n"):
            if self._passes_cap(block):
                self._too_large = True
                self._pending[:] = block  # so that finish() returns an unfinished event
                break
            events += self._events(block)
        return events

    def _events(self, block: bytes) -> list[Event]:
        """Return the event of the lines between two blank lines; the loose way may find more."""
        data: list[bytes] = []
        errors: list[bytes] = []
        unframed: list[bytes] = []
        kind = "message"
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                kind = value.decode("utf-8", "replace") or "message"
            elif name == b"id":
                if b"\0" not in value:
                    self._id = value.decode("utf-8", "replace")
            elif name == b"retry":
                if value.isdigit() and value.isascii():
                    self.retry = int(value[:9])
            elif name.lower() == b"error":
                errors.append(value)
            elif line.strip() and name and not _NEW_FIELD.match(line):
                unframed.append(line)
        joined = b"\n".join(data)
        if not self._loose:
            return [Event(joined, kind, self._id)] if data else []
        events: list[Event] = []
        if unframed:
            events.append(Event(b"\n".join(unframed), UNFRAMED, self._id))
        if errors:
            events.append(Event(b"\n".join(errors), "error", self._id))
        if kind.strip().lower() == "error":
            events.append(Event(joined, "error", self._id))
        elif joined.strip() and not _keeps_alive(kind, joined):
            events.append(Event(joined, kind, self._id))
        return events


def _keeps_alive(kind: str, data: bytes) -> bool:
    if kind.strip().lower() not in _KEEP_ALIVES:
        return False
    return b'"error"' not in data and b'"choices"' not in data
