"""Embeddings and reranking: bodies and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from inferencekey._core import json as jsonval
from inferencekey._core.data import fast_embeddings as long_vectors
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey.errors import ResponseFormatError, ValidationError
from inferencekey.models import EmbeddingResult, RerankItem, RerankResult
from inferencekey.models.numbers import checked_integer, is_number

__all__ = ["embed_body", "embedding_result", "rerank_body", "rerank_result"]


def embed_body(model: str, input: str | Sequence[str]) -> dict[str, Any]:
    """Return the JSON body.

    Raises:
        ValidationError: no input, or one that is not a string or is blank.
    """
    if isinstance(input, str):
        _texts([input], "input")
        return {"model": model, "input": input}
    return {"model": model, "input": _texts(input, "input")}


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

    raw = (long_vectors.parsed(body) if len(body) >= long_vectors.LONG else None) or jsonval.loads(
        body, "the embeddings", request_id
    )
    answer = jsonval.as_mapping(raw)
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
        entry = jsonval.as_mapping(item)
        vector: Any = None if entry is None else entry.get("embedding")
        # Only the first number is looked at: structuring them all would cost more than parsing them.
        if (
            entry is None
            or not isinstance(vector, list)
            or not _starts_with_number(cast("list[Any]", vector))
        ):
            raise wrong(f"have no data[{position}].embedding (a list of numbers)")
        index = jsonval.integer(entry.get("index", position))
        if index is None or not 0 <= index < count or vectors[index] is not None:
            raise wrong(
                f"have an index {entry.get('index')!r} at data[{position}] that is out of range or used twice"
            )
        vectors[index] = cast("list[float]", vector)
    return EmbeddingResult(
        cast("list[list[float]]", vectors),
        jsonval.text_or_none(answer.get("model")),
        usage_of(answer.get("usage")),
        raw,
        request_id,
    )


def rerank_body(
    model: str, query: str, documents: Sequence[str], top_n: int | None
) -> dict[str, Any]:
    """Return the JSON body.

    Raises:
        ValidationError: a blank query, no documents, a blank document, or *top_n* below 1.
    """
    _texts([query], "query")
    body: dict[str, Any] = {
        "model": model,
        "query": query,
        "documents": _texts(documents, "documents"),
    }
    if top_n is not None:
        body["top_n"] = checked_integer(top_n, "top_n", at_least=1)
    return body


def rerank_result(body: bytes, count: int, *, request_id: str | None = None) -> RerankResult:
    """Return the scores in the server's order.

    Args:
        body: the answer; scores stand in ``relevance_score`` or, on some servers, ``score``.
        count: how many documents were sent.
        request_id: the answer's ``x-request-id``.

    Raises:
        GenerationFailed: an error came in a 200.
        ResponseFormatError: a field is missing, or an index names no document.
    """

    def wrong(why: str) -> ResponseFormatError:
        return ResponseFormatError.of(f"the reranking {why}", request_id=request_id)

    raw = jsonval.loads(body, "the reranking", request_id)
    answer = jsonval.as_mapping(raw)
    if answer is not None and answer.get("error"):
        raise in_band_error(raw, request_id=request_id)
    found = None if answer is None else answer.get("results")
    if answer is None or not isinstance(found, list):
        raise wrong("has no list results")
    items: list[RerankItem] = []
    for position, item in enumerate(cast("list[Any]", found)):
        entry = jsonval.as_mapping(item) or {}
        index = jsonval.integer(entry.get("index"))
        score = entry.get("relevance_score")
        if score is None:
            score = entry.get("score")
        if index is None or not 0 <= index < count:
            raise wrong(f"has no index of a document in results[{position}]")
        if not is_number(score):
            raise wrong(f"has no relevance_score in results[{position}]")
        items.append(RerankItem(index, float(score)))
    return RerankResult(
        tuple(items),
        jsonval.text_or_none(answer.get("model")),
        usage_of(answer.get("usage")),
        raw,
        request_id,
    )


def _starts_with_number(vector: list[Any]) -> bool:
    return bool(vector) and is_number(vector[0])


def _texts(given: object, argument: str) -> list[str]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ValidationError.of(f"{argument} must be a string or a list of strings")
    texts = cast("Sequence[object]", given)
    if not texts:
        raise ValidationError.of(f"{argument} must not be empty")
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            where = f"{argument}[{index}]" if len(texts) > 1 else argument
            raise ValidationError.of(f"{where} must be a string that is not blank")
    return [cast("str", text) for text in texts]
