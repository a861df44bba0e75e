"""Server-sent events: bytes in, events out.

The rules are the WHATWG HTML standard's, section "Interpreting an event stream": lines end in LF, CRLF or CR; one
leading BOM is dropped; a line that starts with a colon is a comment; several ``data`` lines are joined by LF; a blank
line dispatches; an event without data is not dispatched; unknown fields are ignored; ``retry`` counts only when it is
all digits, ``id`` only without NUL. What is left when the bytes end is not an event.

Data stays bytes: what is in it is the reader's business, and JSON decoders take bytes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_EVENT_SIZE", "Event", "EventTooLarge", "SSEDecoder"]

MAX_EVENT_SIZE: Final = 16 * 1024 * 1024

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event is longer than the cap."""


class Event:
    """One dispatched event.

    Args:
        data: the joined ``data`` lines.
        event: the event's type; ``"message"`` unless the stream says otherwise.
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
    """Incremental decoder: the events do not depend on how the bytes are split.

    Args:
        max_event_size: bytes; the longest event, comments between two blank lines included.
    """

    __slots__ = (
        "_at_start",
        "_id",
        "_max",
        "_pending",
        "_scanned",
        "_skip_lf",
        "_too_large",
        "retry",
    )

    def __init__(self, max_event_size: int = MAX_EVENT_SIZE) -> None:
        self._max = max_event_size
        self._pending = bytearray()  # an unfinished event, line ends already LF
        self._scanned = 0  # how far _pending is known to hold no blank line
        self._skip_lf = False  # the last byte was CR: a LF now belongs to it
        self._at_start = True
        self._too_large = False  # said only once the events before it were returned
        self._id = ""
        self.retry: int | None = None
        """The reconnection time in milliseconds that the server asked for."""

    @property
    def pending(self) -> bool:
        """Whether an event has begun and is not finished."""
        return bool(self._pending.strip(b"\n"))

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events they complete, in order.

        Raises:
            EventTooLarge: an event passes the cap; the events before it were returned, nothing more can be decoded.
        """
        return [Event(one) if isinstance(one, bytes) else one for one in self.feed_plain(data)]

    def feed_plain(self, data: bytes) -> list[bytes] | list[bytes | Event]:
        """The same as ``feed``, but an event that has data and nothing else is its data alone: an object less for each."""
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
        """Say that the bytes have ended: return the unfinished event, which the standard does not count as one.

        A caller that knows what a last event looks like (``[DONE]``) may accept it; anyone else knows from it that
        something was cut.
        """
        rest = bytes(self._pending)
        self._pending.clear()
        self._scanned = 0
        return self._event(rest)

    def _without_bom(self, data: bytes) -> bytes:
        head = bytes(self._pending) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._pending[:] = head
            return b""
        self._pending.clear()
        self._at_start = False
        return head.removeprefix(_BOM)

    def _passes_cap(self, block: bytes | bytearray) -> bool:
        # The blank line's own bytes do not count, so that the cap falls at the same byte however the stream was split.
        return len(block) > self._max and len(block.strip(b"\n")) > self._max

    def _refusal(self) -> EventTooLarge:
        return EventTooLarge(f"an event is longer than {self._max} bytes")

    def _whole_events(self, whole: bytes) -> list[bytes] | list[bytes | Event]:
        # What real models send, nearly always: one data line in each event and nothing else. Then there are no line ends
        # but the blank lines between them, and taking them apart is one step.
        if whole.startswith(b"data: ") and not self._id and len(whole) <= self._max:
            plain = whole[6:].split(b"\n\ndata: ")
            if whole.count(b"\n") == 2 * len(plain) - 2:
                return plain
        events: list[bytes | Event] = []
        for block in whole.split(b"\n\n"):
            if self._passes_cap(block):
                self._too_large = True
                self._pending[:] = block  # finish() is to tell that something was left
                break
            if (event := self._event(block)) is not None:
                events.append(event)
        return events

    def _event(self, block: bytes) -> Event | None:
        data: list[bytes] = []
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
            elif name == b"retry" and value.isdigit() and value.isascii():
                self.retry = int(value[:9])
        return Event(b"\n".join(data), kind, self._id) if data else None
