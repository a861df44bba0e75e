"""A chat chunk that is like an earlier one is read without parsing its JSON.

The chunks of one stream are the same JSON, byte for byte, around different texts. Of a chunk that
was parsed, the bytes before and after its text are kept. A later chunk with the same bytes around a
plain text is therefore valid JSON with the same values, except for the text, so nothing is guessed.
A plain text has the same bytes in JSON and outside of it: it has no quote, no backslash and no
control character. Every other chunk is parsed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["UNKNOWN", "ChunkPattern", "not_plain"]

not_plain: Final = re.compile(rb'["\\\x00-\x1f]').search
"""Finds a byte that JSON has to escape."""

_KEY: Final = re.compile(rb'"content"[ ]?:[ ]?"')


class ChunkPattern(NamedTuple):
    """The bytes around the text of a parsed chunk."""

    head: bytes
    tail: bytes
    start: int
    """The index at which the text of a chunk begins."""
    end: int
    """The index at which it ends, counted from the end."""
    size: int
    """The length of head and tail together."""

    @classmethod
    def of(cls, data: bytes, text: str) -> ChunkPattern | None:
        """Return the pattern of a chunk, or ``None`` if the place of its text is not certain.

        Args:
            data: the chunk; valid JSON.
            text: its ``choices[0].delta.content``.
        """
        # Without a backslash, no key is spelled with escapes, so one "content" is the right one.
        if b"\\" in data or data.count(b'"content"') != 1 or (key := _KEY.search(data)) is None:
            return None
        start = key.end()
        tail = data[start + len(text.encode()) :]
        return cls(data[:start], tail, start, -len(tail), start + len(tail))


UNKNOWN: Final = ChunkPattern(b"\n", b"", 0, 0, 0)
"""A pattern that no chunk matches: the data of a one-line event has no line end."""
