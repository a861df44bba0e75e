"""Parsing a long answer of embeddings one vector at a time.

A JSON parser takes memory of its own while it works: more than a long answer and its floats together. Here the vectors are cut
out of the text, the rest is parsed with a number in the place of each, and then each vector by itself. Where that does not
come out even, which is for the parser of the whole to say, nothing is returned.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

import orjson

__all__ = ["LONG", "parse_vectors"]

LONG: Final = 256 * 1024
"""Bytes from which it is worth it."""

# Without a backslash, a quote within a text cannot be: this is a key.
_VECTOR: Final = re.compile(rb'"embedding"\s*:\s*\[')


def parse_vectors(body: bytes) -> dict[str, Any] | None:
    """Return what a JSON parser would make of *body*, or ``None`` where it is not an answer with vectors as expected."""
    if b"\\" in body:
        return None  # a key may be written in another way
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
        answer = orjson.loads(b"".join(rest))
        items = answer["data"]
        for number, (item, vector) in enumerate(zip(items, vectors, strict=True)):
            if item["embedding"] != [2 * number]:
                return None
            item["embedding"] = vector
    except (ValueError, LookupError, TypeError):
        return None
    return cast("dict[str, Any]", answer)
