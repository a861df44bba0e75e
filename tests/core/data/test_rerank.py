"""Reranking: the bodies of requests and responses."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from inferencekey._core.data.rerank import rerank_body, rerank_result
from inferencekey.errors import GenerationFailed, ResponseFormatError, ValidationError
from inferencekey.models import RerankItem, Usage


def test_an_error_in_a_200_has_the_servers_message() -> None:
    with pytest.raises(GenerationFailed, match=r"^api error: out of memory$") as caught:
        rerank_result(b'{"error": {"message": "out of memory"}}', 1, request_id="r-1")
    assert caught.value.request_id == "r-1"


def test_the_body_of_a_rerank() -> None:
    assert rerank_body("m", "q", ("a", "b"), None) == {
        "model": "m",
        "query": "q",
        "documents": ["a", "b"],
    }
    assert rerank_body("m", "q", ["a"], 5) == {
        "model": "m",
        "query": "q",
        "documents": ["a"],
        "top_n": 5,
    }


@pytest.mark.parametrize(
    ("query", "documents", "top_n", "text"),
    [
        ("", ["a"], None, "query must be a string that is not blank"),
        (None, ["a"], None, "query must be a string that is not blank"),
        ("q", [], None, "documents must not be empty"),
        ("q", "abc", None, "documents must be a string or a list of strings"),
        ("q", ["a", ""], None, "documents[1] must be a string that is not blank"),
        ("q", [{"text": "a"}], None, "documents must be a string that is not blank"),
        ("q", ["a"], 0, "top_n must be an integer of at least 1; got 0"),
        ("q", ["a"], True, "top_n must be an integer of at least 1; got True"),
        ("q", ["a"], "1", "top_n must be an integer of at least 1; got '1'"),
        ("q", ["a"], 1.0, "top_n must be an integer of at least 1; got 1.0"),
    ],
)
def test_wrong_reranks(query: Any, documents: Any, top_n: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rerank_body("m", query, documents, top_n)
    assert str(caught.value) == f"validation error: {text}"


def test_scores_stay_in_the_servers_order_under_either_name() -> None:
    sent = {
        "results": [
            {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}},
            {"index": 0, "score": -3},
            {"index": 2.0, "relevance_score": None, "score": 1},
        ],
        "model": "m",
        "usage": {"total_tokens": 4},
    }
    result = rerank_result(orjson.dumps(sent), 3, request_id="r-1")
    assert result.results == (RerankItem(1, 0.9), RerankItem(0, -3.0), RerankItem(2, 1.0))
    assert (result.model, result.usage, result.raw, result.request_id) == (
        "m",
        Usage(None, None, 4),
        sent,
        "r-1",
    )
    assert rerank_result(b'{"results": []}', 1).model is None


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"no", "the rerank response is not JSON"),
        (b"[]", "the rerank response has no list named results"),
        (b"{}", "the rerank response has no list named results"),
        (b'{"results": {}}', "the rerank response has no list named results"),
        (b'{"results": [5]}', "the rerank response has no valid index in results[0]"),
        (
            b'{"results": [{"relevance_score": 1}]}',
            "the rerank response has no valid index in results[0]",
        ),
        (
            b'{"results": [{"index": 2, "score": 1}]}',
            "the rerank response has no valid index in results[0]",
        ),
        (
            b'{"results": [{"index": -1, "score": 1}]}',
            "the rerank response has no valid index in results[0]",
        ),
        (
            b'{"results": [{"index": true, "score": 1}]}',
            "the rerank response has no valid index in results[0]",
        ),
        (
            b'{"results": [{"index": 0}]}',
            "the rerank response has no relevance_score in results[0]",
        ),
        (
            b'{"results": [{"index": 0, "score": "1"}]}',
            "the rerank response has no relevance_score in results[0]",
        ),
        (
            b'{"results": [{"index": 0, "score": true}]}',
            "the rerank response has no relevance_score in results[0]",
        ),
        (
            b'{"results": [{"index": 0, "score": 1}, {"index": 1}]}',
            "the rerank response has no relevance_score in results[1]",
        ),
    ],
)
def test_rejects_a_rerank_response_without_a_required_field(sent: bytes, text: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        rerank_result(sent, 2, request_id="r-1")
    assert str(caught.value).startswith(f"unexpected response: {text}")
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b'{"results": [{"index": 0, "score": NaN}]}', "results[0].relevance_score"),
        (
            b'{"results": [{"index": 0, "score": 1}, {"index": 0, "score": 1}]}',
            "results[1].index of 0, which is used twice",
        ),
        (b'data: {"results": []}', "this is an event stream"),
    ],
)
def test_results_that_are_refused_by_name(sent: bytes, words: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        rerank_result(sent, 2)
    assert words in str(caught.value)


@pytest.mark.parametrize("sent", [b'{"detail": "no memory"}', b'{"error": "no memory"}'])
def test_an_error_in_any_form(sent: bytes) -> None:
    with pytest.raises(GenerationFailed, match="no memory"):
        rerank_result(sent, 1)
