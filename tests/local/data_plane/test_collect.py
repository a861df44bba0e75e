"""Streams put together, and streams passed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.data.sse import Event, SSEDecoder
from inferencekey.local.data_plane.chunked import WholeEvents
from inferencekey.local.data_plane.collect import Assembly, StreamError
from inferencekey.local.data_plane.rerank import cosine, ranked


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    head = {"id": "c1", "created": 7, "model": "m", "object": "chat.completion.chunk"}
    return {**head, "choices": list(choices), **fields}


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def assembled(*chunks: dict[str, Any]) -> dict[str, Any]:
    assembly = Assembly()
    for item in chunks:
        assembly.take(Event(json.dumps(item).encode()))
    assembly.take(Event(b"[DONE]"))
    assert assembly.done
    return assembly.answer()


def test_text_and_usage() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    answer = assembled(
        chunk(delta(role="assistant", content=None)),
        chunk(delta(content="Ho")),
        chunk(delta(content="la")),
        chunk(delta(finish="stop")),
        chunk(usage=usage),
    )
    assert answer == {
        "id": "c1",
        "created": 7,
        "model": "m",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hola"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": usage,
    }


def test_choices_that_come_mixed_are_taken_apart() -> None:
    answer = assembled(
        chunk(delta(1, content="b")),
        chunk(delta(0, content="a"), delta(1, content="B")),
        chunk(delta(0, content="A")),
    )
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["aA", "bB"]


def test_tool_calls_come_in_pieces() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk(delta(tool_calls=[{"index": index, **fields}]))

    answer = assembled(
        call(0, id="x", type="function", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"city":'}),
        call(1, id="y", function={"name": "time", "arguments": "{}"}),
        call(0, function={"arguments": ' "Oslo"}'}),
        chunk(delta(finish="tool_calls")),
    )
    [choice] = answer["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "x",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
            },
            {"id": "y", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ],
    }
    assert choice["finish_reason"] == "tool_calls"


def test_logprobs_and_reasoning_are_joined() -> None:
    answer = assembled(
        chunk(
            {**delta(content="a", reasoning_content="x"), "logprobs": {"content": [{"token": "a"}]}}
        ),
        chunk(
            {**delta(content="b", reasoning_content="y"), "logprobs": {"content": [{"token": "b"}]}}
        ),
    )
    [choice] = answer["choices"]
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert choice["message"]["reasoning_content"] == "xy"


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        ({"message": "too long", "code": 400}, "too long", 400),
        ({"message": "broke", "code": "oops"}, "broke", 500),
        ("plain words", "plain words", 500),
        ({"code": 7}, "the engine failed", 500),
    ],
)
def test_an_error_in_the_stream_is_raised(error: object, message: str, status: int) -> None:
    with pytest.raises(StreamError) as raised:
        assembled({"error": error})
    assert (raised.value.message, raised.value.status) == (message, status)


@pytest.mark.parametrize("data", [b"{", b"[]", b"5", b"\xff"])
def test_what_is_no_chunk_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Assembly().take(Event(data))


# Passing on

STREAMS = [
    b'data: {"a": 1}\n\ndata: {"b": "\xc3\xa9"}\n\n: comment\n\ndata: [DONE]\n\n',
    b'data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n',
    b"event: x\ndata: 1\ndata: 2\n\ndata: [DONE]\n\n",
]


@given(st.sampled_from(STREAMS), st.data())
def test_events_pass_whole_and_unchanged_however_they_are_split(
    whole: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    events, sent = WholeEvents(), []
    for part in parts:
        out = events.feed(part)
        decoder = SSEDecoder()
        decoder.feed(out)
        assert not decoder.pending, "half an event was passed on"
        sent.append(out)
    assert b"".join(sent) == whole
    assert events.complete


@pytest.mark.parametrize(
    ("stream", "complete"),
    [
        (b"", False),
        (b'data: {"a": 1}\n\n', False),
        (b"data: [DONE]", False),
        (b"data: [DONE]\n\n", True),
        (b"data:[DONE]\r\n\r\n", True),
        (b'data: {"text": "[DONE]"}\n\n', False),
        (b'data: {"error": {"message": "x"}}\n\n', True),
        (b'data: {"error": 1}\n\ndata: {"a": 1}\n\n', False),
    ],
)
def test_when_a_stream_is_over(stream: bytes, complete: bool) -> None:
    events = WholeEvents()
    events.feed(stream)
    assert events.complete is complete


def test_an_event_that_never_ends_is_not_kept_for_ever() -> None:
    events = WholeEvents()
    for _ in range(40):
        assert events.feed(b"x" * 1024 * 1024) == b""
        assert len(events._rest) <= 16 * 1024 * 1024
    assert not events.complete


# Ranking

vectors = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)


@given(vectors, vectors)
def test_the_cosine_is_symmetric_and_bounded(a: list[float], b: list[float]) -> None:
    assert -1 <= cosine(a, b) <= 1
    assert cosine(a, b) == pytest.approx(cosine(b, a))


def test_the_cosine_of_known_angles() -> None:
    assert cosine([1, 0], [5, 0]) == pytest.approx(1)
    assert cosine([1, 0], [0, 2]) == 0
    assert cosine([1, 0], [-3, 0]) == pytest.approx(-1)
    assert cosine([0, 0], [1, 1]) == 0


@given(vectors, st.lists(vectors, min_size=1, max_size=6), st.integers(1, 8))
def test_ranks_are_sorted_and_cut(
    query: list[float], documents: list[list[float]], top_n: int
) -> None:
    results = ranked(query, documents, top_n)
    assert len(results) == min(top_n, len(documents))
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == max(cosine(query, document) for document in documents)
