"""Halves of characters in what a server sends: lone surrogates, and cut UTF-8 sequences.

Engines cut a text into tokens, and a token may end inside a character. Some write the two halves
of a surrogate pair into two chunks, some the bytes of a UTF-8 sequence. Here a byte that is not
UTF-8 is one of the code points U+DC80 to U+DCFF, as Python's ``surrogateescape`` makes it. Halves
that follow each other become their character; any other becomes U+FFFD.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final, cast

__all__ = ["joined", "without_halves"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BYTES: Final = re.compile("[\udc80-\udcff]+")


def joined(text: str, *, final: bool = True) -> tuple[str, str]:
    """Return the text without halves, and the half at its end that may still find its other half.

    Args:
        text: any string.
        final: whether nothing follows, so that a half at the end stays one.
    """
    if _SURROGATE.search(text) is None:
        return text, ""
    text = _PAIR.sub(lambda pair: _character(pair[0]), text)
    held = ""
    if not final and "\ud800" <= text[-1:] <= "\udbff":
        text, held = text[:-1], text[-1]

    def decoded(run: re.Match[str]) -> str:
        nonlocal held
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        found = decoder.decode(run[0].encode("utf-8", "surrogateescape"))
        rest: bytes = decoder.getstate()[0]
        if final or held or run.end() < len(text):
            return found + decoder.decode(b"", True)
        held = rest.decode("utf-8", "surrogateescape")
        return found

    text = _BYTES.sub(decoded, text)
    return _SURROGATE.sub("\ufffd", text), held


def without_halves(value: Any) -> Any:
    """Return a JSON value in which every string is without halves."""
    if isinstance(value, str):
        return joined(value)[0]
    if isinstance(value, list):
        return [without_halves(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {joined(key)[0]: without_halves(item) for key, item in items}
    return value


def _character(pair: str) -> str:
    return pair.encode("utf-16", "surrogatepass").decode("utf-16")
