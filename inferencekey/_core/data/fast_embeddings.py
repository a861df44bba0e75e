"""A long embeddings response is parsed one vector at a time, to save memory.

While it works, a JSON parser needs more memory than a long response and its floats together. Here
the vectors are cut out of the bytes, the rest is parsed with a number in the place of each vector,
and then each vector is parsed alone. If the parts do not fit together, nothing is returned, and the
caller parses the response as a whole.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

import orjson

__all__ = ["LONG", "parse_vectors"]

LONG: Final = 256 * 1024
"""The length in bytes from which this is worth its cost."""

# Without a backslash in the body, no string contains a quote, so this always matches a key.
_VECTOR: Final = re.compile(rb'"embedding"\s*:\s*\[')


def parse_vectors(body: bytes) -> dict[str, Any] | None:
    """Return what a JSON parser would, or ``None`` if the body does not have the usual form."""
    if b"\\" in body:
        return None  # a key may be spelled with escapes
    rest: list[bytes] = []
    vectors: list[Any] = []
    at = 0
    try:
        while (key := _VECTOR.search(body, at)) is not None and (
            end := body.find(b"]", key.end())
        ) >= 0:
            vectors.append(orjson.loads(body[key.end() - 1 : end + 1]))
            rest += (body[at : key.end()], b"%d" % len(rest))
            at = end
        rest.append(body[at:])
        parsed = orjson.loads(b"".join(rest))
        items = parsed["data"]
        for number, (item, vector) in enumerate(zip(items, vectors, strict=True)):
            if item["embedding"] != [2 * number]:
                return None
            item["embedding"] = vector
    except (ValueError, LookupError, TypeError):
        return None
    return cast("dict[str, Any]", parsed)
