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
        ValidationError: no input, or one that is not a string or is blank.
    """
    if isinstance(input, str):
        checked_texts([input], "input")
        return {"model": model, "input": input}
    return {"model": model, "input": checked_texts(input, "input")}


def embedding_result(body: bytes, count: int, *, request_id: str | None = None) -> EmbeddingResult:
    """Return the vectors in input order.

    Args:
        body: the answer.
        count: how many inputs were sent.
        request_id: the answer's ``x-request-id``.

    Raises:
        GenerationFailed: an error came in a 200.
        ResponseFormatError: a field is missing, or there is not exactly one vector per input.
    """

    def wrong(why: str) -> ResponseFormatError:
        return ResponseFormatError.of(f"the embeddings {why}", request_id=request_id)

    raw = (parse_vectors(body) if len(body) >= LONG else None) or loads(
        body, "the embeddings", request_id
    )
    answer = as_mapping(raw)
    if answer is not None and answer.get("error"):
        raise in_band_error(raw, request_id=request_id)
    data = None if answer is None else answer.get("data")
    if answer is None or not isinstance(data, list):
        raise wrong("have no list data")
    items = cast("list[Any]", data)
    if len(items) != count:
        raise wrong(f"are {len(items)} vectors for {count} inputs")
    vectors: list[list[float] | None] = [None] * count
    for position, item in enumerate(items):
        entry = as_mapping(item)
        vector: Any = None if entry is None else entry.get("embedding")
        # Only the first number is looked at: structuring them all would cost more than parsing them.
        if (
            entry is None
            or not isinstance(vector, list)
            or not _starts_with_number(cast("list[Any]", vector))
        ):
            raise wrong(f"have no data[{position}].embedding (a list of numbers)")
        index = as_integer(entry.get("index", position))
        if index is None or not 0 <= index < count or vectors[index] is not None:
            raise wrong(
                f"have an index {entry.get('index')!r} at data[{position}] that is out of range or used twice"
            )
        vectors[index] = cast("list[float]", vector)
    return EmbeddingResult(
        cast("list[list[float]]", vectors),
        as_string(answer.get("model")),
        usage_of(answer.get("usage")),
        raw,
        request_id,
    )


def _starts_with_number(vector: list[Any]) -> bool:
    return bool(vector) and is_number(vector[0])
