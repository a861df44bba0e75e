"""The stream of an engine, collected into one response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inferencekey._core.data.sse import Event
from inferencekey.local.data_plane.streams.collect import Collector, StreamError


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    head = {"id": "c1", "created": 7, "model": "m", "object": "chat.completion.chunk"}
    return {**head, "choices": list(choices), **fields}


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish}


def assembled(*chunks: dict[str, Any]) -> dict[str, Any]:
    collector = Collector()
    for item in chunks:
        collector.add(Event(json.dumps(item).encode()))
    collector.add(Event(b"[DONE]"))
    assert collector.done
    return collector.body()


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


def test_interleaved_choices_are_separated() -> None:
    answer = assembled(
        chunk(delta(1, content="b")),
        chunk(delta(0, content="a"), delta(1, content="B")),
        chunk(delta(0, content="A")),
    )
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["aA", "bB"]


def test_tool_calls_are_joined_from_parts() -> None:
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
def test_rejects_a_chunk_that_is_not_a_json_object(data: bytes) -> None:
    with pytest.raises(ValueError):
        Collector().add(Event(data))
