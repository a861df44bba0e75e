"""Embeddings: the body of a request, and the vectors of a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

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

    raw: Any = parse_vectors(body) if len(body) >= LONG else None
    if raw is None:
        raw = loads(body, "the embeddings response", request_id)
    response = as_mapping(raw)
    if response is not None and response.get("error"):
        raise in_band_error(raw, request_id=request_id)
    data = None if response is None else response.get("data")
    if response is None or not isinstance(data, list):
        raise wrong("has no list named data")
    items = cast("list[Any]", data)
    if len(items) != count:
        raise wrong(f"has {len(items)} vectors for {count} inputs")
    vectors: list[list[float] | None] = [None] * count
    for position, item in enumerate(items):
        entry = as_mapping(item)
        vector: Any = None if entry is None else entry.get("embedding")
        # Only the first number is checked: checking all of them would cost more than parsing them.
        if (
            entry is None
            or not isinstance(vector, list)
            or not _starts_with_number(cast("list[Any]", vector))
        ):
            raise wrong(f"has no data[{position}].embedding that is a list of numbers")
        index = as_integer(entry.get("index", position))
        if index is None or not 0 <= index < count or vectors[index] is not None:
            raise wrong(
                f"has the index {entry.get('index')!r} at data[{position}], "
                "which is out of range or used twice"
            )
        vectors[index] = cast("list[float]", vector)
    return EmbeddingResult(
        cast("list[list[float]]", vectors),
        as_string(response.get("model")),
        usage_of(response.get("usage")),
        raw,
        request_id,
    )


def _starts_with_number(vector: list[Any]) -> bool:
    return bool(vector) and is_number(vector[0])
