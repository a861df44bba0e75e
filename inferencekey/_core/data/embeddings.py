"""Embeddings: the body of a request, and the vectors of a response."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from math import isfinite
from struct import unpack
from typing import Any, cast

from inferencekey._core.data.choices import reports_error
from inferencekey._core.data.documents import check_whole
from inferencekey._core.data.fast_embeddings import LONG, parse_vectors
from inferencekey._core.data.texts import checked_texts
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey._core.json import as_integer, as_mapping, as_string, loads
from inferencekey.errors import ResponseFormatError
from inferencekey.models import EmbeddingResult
from inferencekey.models.numbers import is_number

__all__ = ["embed_body", "embedding_result"]


def embed_body(model: str, input: str | Sequence[str]) -> dict[str, Any]:
    """Return the JSON body.

    Raises:
        ValidationError: there is no input, or one is blank or not a string.
    """
    if isinstance(input, str):
        checked_texts([input], "input")
        return {"model": model, "input": input}
    return {"model": model, "input": checked_texts(input, "input")}


def embedding_result(body: bytes, count: int, *, request_id: str | None = None) -> EmbeddingResult:
    """Return the vectors in input order.

    Args:
        body: the response's body.
        count: the number of inputs that were sent.
        request_id: the response's ``x-request-id``.

    Raises:
        GenerationFailed: a response with status 200 contains an error.
        ResponseFormatError: a field is missing, or there is not exactly one vector per input.
    """

    def wrong(why: str) -> ResponseFormatError:
        return ResponseFormatError.of(f"the embeddings response {why}", request_id=request_id)

    if body[:1] != b"{":
        check_whole(body, request_id, "check that base_url is the URL of the platform")
    raw: Any = parse_vectors(body) if len(body) >= LONG else None
    if raw is None:
        raw = loads(body, "the embeddings response", request_id)
    response = as_mapping(raw)
    if response is not None and reports_error(response, "data"):
        raise in_band_error(raw, request_id=request_id)
    data = None if response is None else response.get("data")
    if response is None or not isinstance(data, list):
        raise wrong("has no list named data")
    items = [as_mapping(item) or {} for item in cast("list[Any]", data)]
    if len(items) != count:
        raise wrong(f"has {len(items)} vectors for {count} inputs")
    # Some servers send no index, or null in its place: then the order is that of the inputs.
    by_index = any(entry.get("index") is not None for entry in items)
    has_booleans = b"true" in body or b"false" in body
    vectors: list[list[float] | None] = [None] * count
    for position, entry in enumerate(items):
        vector = _vector(entry.get("embedding"))
        if vector is None:
            raise wrong(f"has no data[{position}].embedding that is a list of numbers")
        if (place := _not_a_number(vector, careful=has_booleans)) is not None:
            raise wrong(
                f"has no data[{position}].embedding that is a list of numbers: "
                f"embedding[{place}] is {str(vector[place])[:40]!r}, which is no finite number"
            )
        index = position
        if by_index:
            sent = entry.get("index")
            place = as_integer(sent)
            if place is None or not 0 <= place < count or vectors[place] is not None:
                raise wrong(
                    f"has a data[{position}].index of {str(sent)[:40]}, "
                    f"which is {_index_problem(sent, place, count)}"
                )
            index = place
        vectors[index] = vector
    return EmbeddingResult(
        cast("list[list[float]]", vectors),
        as_string(response.get("model")),
        usage_of(response.get("usage")),
        raw,
        request_id,
    )


def _vector(sent: Any) -> list[Any] | None:
    """Return the vector: a list, or a string with the base64 of 32-bit floats (little-endian)."""
    if isinstance(sent, list):
        return cast("list[Any]", sent) or None
    if not isinstance(sent, str):
        return None
    try:
        data = b64decode(sent, validate=True)
    except ValueError:
        return None
    if not data or len(data) % 4:
        return None
    return list(unpack(f"<{len(data) // 4}f", data))


def _not_a_number(vector: list[Any], *, careful: bool) -> int | None:
    """Return the place of the first element that is not a finite number.

    Args:
        vector: the elements.
        careful: whether there may be a ``bool``, which Python can add up.
    """
    # Adding up costs a tenth of parsing, and it fails for everything that is not a number.
    try:
        if not careful and isfinite(sum(vector)):
            return None
    except (TypeError, OverflowError):
        pass
    for place, element in enumerate(vector):
        if not is_number(element) or not isfinite(element):
            return place
    return None


def _index_problem(sent: Any, index: int | None, count: int) -> str:
    if sent is None:
        return "missing, though other vectors have one"
    if index is None:
        return "not an integer"
    return "used twice" if 0 <= index < count else f"not from 0 to {count - 1}"
