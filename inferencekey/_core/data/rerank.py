"""Reranking: the body of a request, and the scores of a response."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, cast

from inferencekey._core.data.choices import reports_error
from inferencekey._core.data.documents import check_whole
from inferencekey._core.data.texts import checked_texts
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey._core.json import as_integer, as_mapping, as_string, loads
from inferencekey.errors import ResponseFormatError
from inferencekey.models import RerankItem, RerankResult
from inferencekey.models.numbers import checked_integer, is_number

__all__ = ["rerank_body", "rerank_result"]


def rerank_body(
    model: str, query: str, documents: Sequence[str], top_n: int | None
) -> dict[str, Any]:
    """Return the JSON body.

    Raises:
        ValidationError: the query or a document is blank, there is no document, or *top_n* is not
            an integer of at least 1.
    """
    checked_texts([query], "query")
    body: dict[str, Any] = {
        "model": model,
        "query": query,
        "documents": checked_texts(documents, "documents"),
    }
    if top_n is not None:
        body["top_n"] = checked_integer(top_n, "top_n", at_least=1)
    return body


def rerank_result(body: bytes, count: int, *, request_id: str | None = None) -> RerankResult:
    """Return the scores in the server's order.

    Args:
        body: the response's body; a score is in ``relevance_score``, or on some servers in
            ``score``.
        count: the number of documents that were sent.
        request_id: the response's ``x-request-id``.

    Raises:
        GenerationFailed: a response with status 200 contains an error.
        ResponseFormatError: a field is missing, or an index is not that of a document.
    """

    def wrong(why: str) -> ResponseFormatError:
        return ResponseFormatError.of(f"the rerank response {why}", request_id=request_id)

    if body[:1] != b"{":
        check_whole(body, request_id, "check that base_url is the URL of the platform")
    raw = loads(body, "the rerank response", request_id)
    response = as_mapping(raw)
    if response is not None and reports_error(response, "results"):
        raise in_band_error(raw, request_id=request_id)
    found = None if response is None else response.get("results")
    if response is None or not isinstance(found, list):
        raise wrong("has no list named results")
    items: list[RerankItem] = []
    used: set[int] = set()
    for position, item in enumerate(cast("list[Any]", found)):
        entry = as_mapping(item) or {}
        index = as_integer(entry.get("index"))
        score = entry.get("relevance_score")
        if score is None:
            score = entry.get("score")
        if index is None or not 0 <= index < count:
            raise wrong(f"has no valid index in results[{position}]")
        if index in used:
            raise wrong(f"has a results[{position}].index of {index}, which is used twice")
        used.add(index)
        if not is_number(score):
            raise wrong(f"has no relevance_score in results[{position}]")
        if not isfinite(score):
            raise wrong(f"has a results[{position}].relevance_score that is not finite: {score}")
        items.append(RerankItem(index, float(score)))
    return RerankResult(
        tuple(items),
        as_string(response.get("model")),
        usage_of(response.get("usage")),
        raw,
        request_id,
    )
