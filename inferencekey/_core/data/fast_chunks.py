"""Reading a chat chunk that is like one before it, without parsing it again.

The chunks of one stream are, byte for byte, the same JSON around another text. Of a chunk that was parsed, the bytes before
and after its text are kept. A later chunk that has the same bytes around a plain text is therefore JSON, of the same shape
and with the same values, but for the text: nothing is guessed. A plain text is what stands in JSON as it is, without a
quote, a backslash or a control character. Everything else is parsed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["UNKNOWN", "ChunkPattern", "not_plain"]

not_plain: Final = re.compile(rb'["\\\x00-\x1f]').search
"""Finds what stands in a JSON text otherwise than as itself."""

_KEY: Final = re.compile(rb'"content"[ ]?:[ ]?"')


class ChunkPattern(NamedTuple):
    """The bytes around the text of a parsed chunk."""

    head: bytes
    tail: bytes
    start: int
    """Where the text of a chunk begins."""
    end: int
    """Where it ends, from the end."""
    size: int
    """How long head and tail are."""

    @classmethod
    def of(cls, data: bytes, text: str) -> ChunkPattern | None:
        """Return the pattern of a chunk, or ``None`` where it cannot be told for certain which of its bytes are the text.

        Args:
            data: the chunk; valid JSON.
            text: its ``choices[0].delta.content``.
        """
        # Without a backslash no key is written in another way, and with one "content" that is the one.
        if b"\\" in data or data.count(b'"content"') != 1 or (key := _KEY.search(data)) is None:
            return None
        start = key.end()
        tail = data[start + len(text.encode()) :]
        return cls(data[:start], tail, start, -len(tail), start + len(tail))


UNKNOWN: Final = ChunkPattern(b"\n", b"", 0, 0, 0)
"""What no chunk is like: one line has no line end."""
