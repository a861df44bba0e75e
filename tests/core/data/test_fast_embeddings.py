"""A long embeddings response, parsed in parts, equals the result of a JSON parser, or is None."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.data.embeddings import embedding_result
from inferencekey._core.data.fast_embeddings import LONG, parse_vectors
from inferencekey.errors import ResponseFormatError

FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5), max_size=5)
WORDS = st.text(st.sampled_from('ab"\\:[]embedding,'), max_size=20) | st.sampled_from(
    ['"embedding":[1]', '"embedding": [']
)
ITEMS = st.fixed_dictionaries(
    {"embedding": FLOATS, "note": WORDS}, optional={"index": st.integers(0, 3)}
)


@given(
    st.fixed_dictionaries({"model": WORDS, "data": st.lists(ITEMS, max_size=4)}),
    st.sampled_from([None, 1]),
)
def test_the_result_is_that_of_the_json_parser(answer: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(answer, indent=indent).encode()
    assert orjson.loads(body) == answer
    # A backslash may hide a key: that is left to the parser.
    assert parse_vectors(body) == (None if b"\\" in body else answer)


NOISE = st.text(st.sampled_from('[]{},":1'), max_size=6).map(str.encode)


@given(st.binary(max_size=4) | NOISE, st.integers(0, 80), st.integers(0, 3))
def test_a_broken_body_gives_the_same_result_or_none(noise: bytes, at: int, cut: int) -> None:
    body = orjson.dumps({"data": [{"embedding": [1.5, 2]}, {"embedding": [3]}], "model": "m"})
    body = body[:at] + noise + body[at + cut :]
    found = parse_vectors(body)
    assert found is None or found == orjson.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data":[{"embedding":[1}]}',
        b'{"data":[{"embedding":[1]',
        b'{"data":[{"embedding":[1]}],"other":{"embedding":[2]}}',
        b'{"data":[{"embedding":[1],"embedding":[2]}]}',
        b'{"data":[{"embedding":[[1],[2]]}]}',
        b'{"data":[{"embedding":["a]"]}]}',
        b'{"data":[{"embedding":"AAAA"}, {"embedding":[1]}]}',
        b'{"other":[{"embedding":[1]}],"data":[{"embedding":[0]}]}',
        b'{"data":[{"first":{"embedding":[1]},"embedding":[7]},{"embedding":[0]}]}',
        b'{"data":[{"embedding":["x]"},{"embedding":[","y"]}]}',
        b'{"data":[{"embedding":["x],[","y"]},{"embedding":[1]}]}',
        b'{"data":[{"embedding":[1,[2]},{"embedding":[3]]}]}',
        b'{"data":[{"embedding":[{}]},{"embedding":[1]}]}',
        b'{"data":3}',
        b'{"data":[{"\\u0065mbedding":[0],"x":{"embedding":[9]}}]}',
    ],
)
def test_a_body_of_another_form_is_left_to_the_json_parser(body: bytes) -> None:
    found = parse_vectors(body)
    assert found is None or found == orjson.loads(body)


def test_a_vector_in_another_place_is_ignored() -> None:
    assert parse_vectors(b'{"a":{"embedding":[9]},"data":[{"embedding":null}]}') is None


def test_long_responses_are_parsed_this_way_with_the_same_result() -> None:
    data = [{"index": i, "embedding": [i + n / 7 for n in range(1024)]} for i in range(32)]
    body = orjson.dumps({"data": data, "model": "m"})
    assert len(body) > LONG
    result = embedding_result(body, 32)
    assert result.embeddings == [item["embedding"] for item in data]
    assert result.raw == orjson.loads(body)
    with pytest.raises(ResponseFormatError, match="the embeddings response is not JSON"):
        embedding_result(body[:-1], 32)
