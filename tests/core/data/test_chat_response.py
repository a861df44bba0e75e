"""Whole chat responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from inferencekey._core.data.chat_response import text_result
from inferencekey.errors import GenerationFailed, ResponseFormatError
from inferencekey.models import Usage


def answer(message: Any = None, **fields: Any) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hola"} if message is None else message,
    }
    return orjson.dumps({"choices": [choice], **fields})


def test_a_whole_response() -> None:
    raw = {
        "id": "chatcmpl-1",
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "choices": [
            {
                "index": 0,
                "finish_reason": "length",
                "message": {"role": "assistant", "content": "Hola"},
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "total_tokens": 10,
            "prompt_tokens_details": None,
        },
        "unknown": [1],
    }
    result = text_result(orjson.dumps(raw), request_id="r-1")
    assert (result.text, result.model, result.finish_reason) == ("Hola", raw["model"], "length")
    assert result.usage == Usage(9, 1, 10)
    assert result.raw == raw
    assert result.request_id == "r-1"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "Hola"}, "Hola"),
        ({"content": ""}, ""),
        ({"content": None}, ""),
        ({"content": None, "reasoning_content": "hm"}, ""),
        ({"tool_calls": [{"id": "1"}]}, ""),
    ],
)
def test_the_text_is_the_content(message: dict[str, Any], text: str) -> None:
    assert text_result(answer(message)).text == text


def test_a_field_that_the_server_leaves_out_is_none() -> None:
    result = text_result(answer(model=5, usage=[]))
    assert (result.model, result.finish_reason, result.usage, result.request_id) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"", "the chat completion is not JSON"),
        (b"<html>hi</html>", "the chat completion is not JSON"),
        (b"\xff\xfe", "the chat completion is not JSON"),
        (b"[]", "the chat completion is not a JSON object"),
        (b'"text"', "the chat completion is not a JSON object"),
        (b"null", "the chat completion is not a JSON object"),
        (b"{}", "the chat completion has no choices[0]"),
        (b'{"choices": null}', "the chat completion has no choices[0]"),
        (b'{"choices": []}', "the chat completion has no choices[0]"),
        (b'{"choices": [null]}', "the chat completion has no choices[0]"),
        (b'{"choices": {"0": {}}}', "the chat completion has no choices[0]"),
        (b'{"choices": [{}]}', "the chat completion has no choices[0].message.content"),
        (
            b'{"choices": [{"text": "legacy"}]}',
            "the chat completion has no choices[0].message.content",
        ),
        (
            b'{"choices": [{"message": "Hola"}]}',
            "the chat completion has no choices[0].message.content",
        ),
        (answer({"role": "assistant"}), "the chat completion has no choices[0].message.content"),
        (answer({"tool_calls": []}), "the chat completion has no choices[0].message.content"),
        (
            answer({"content": 5}),
            "choices[0].message.content is neither a string nor a list of parts",
        ),
        (
            answer({"content": [{"type": "text"}]}),
            "choices[0].message.content is neither a string nor a list of parts",
        ),
    ],
)
def test_rejects_a_response_without_a_required_field_by_name(sent: bytes, text: str) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        text_result(sent, request_id="r-1")
    assert str(caught.value).startswith(f"unexpected response: {text}")
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("sent", "text", "code"),
    [
        (b'{"error": "CUDA out of memory"}', "api error: CUDA out of memory", None),
        (b'{"error": {"message": "m", "type": "t"}, "choices": null}', "api error: m", "t"),
        (
            b'{"error": {"message": "m"}, "choices": [{"message": {"content": ""}}]}',
            "api error: m",
            None,
        ),
        (b'{"error": {}}', "api error: the engine reported an error without a message", None),
        (b'{"error": ""}', 'api error: {"error":""}', None),
    ],
)
def test_an_error_in_a_200(sent: bytes, text: str, code: str | None) -> None:
    with pytest.raises(GenerationFailed) as caught:
        text_result(sent, request_id="r-1")
    assert (str(caught.value), caught.value.code, caught.value.request_id) == (text, code, "r-1")


@pytest.mark.parametrize("error", [None, False, "", {}, []])
def test_an_empty_error_beside_choices_is_not_an_error(error: object) -> None:
    assert text_result(answer(error=error)).text == "Hola"


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_engine_that_stopped_with_an_error(reason: str) -> None:
    sent = orjson.dumps({"choices": [{"finish_reason": reason, "message": {"content": "Ho"}}]})
    with pytest.raises(GenerationFailed) as caught:
        text_result(sent, request_id="r-1")
    assert str(caught.value) == (
        f"api error: the engine stopped with an error (finish_reason '{reason}'); 2 characters "
        "had arrived, see .partial_text"
    )
    assert (caught.value.code, caught.value.partial_text, caught.value.request_id) == (
        reason,
        "Ho",
        "r-1",
    )
    assert caught.value.result is not None
    assert caught.value.result.finish_reason == reason


@pytest.mark.parametrize(
    ("name", "finish_reason"),
    [
        ("xllamacpp_smollm2/chat_nonstream", "length"),
        ("xllamacpp_smollm2/chat_stop_finish", "stop"),
        ("xllamacpp_smollm2/chat_logprobs", "length"),
        ("xllamacpp_smollm2/chat_n2", "length"),
        ("xllamacpp_smollm2/chat_tools_required", "length"),
        ("xllamacpp_smollm2/err_message_bad_role", "length"),
        ("xllamacpp_smollm2_apikey/chat_nonstream", "length"),
        ("xllamacpp_smollm2_tools_template/tools_required", None),
    ],
)
def test_recorded_answers(
    name: str, finish_reason: str | None, capture: Callable[[str], Any]
) -> None:
    exchange = capture(name)
    assert exchange.status == 200
    raw = orjson.loads(exchange.body)
    result = text_result(exchange.body)
    assert result.text == (raw["choices"][0]["message"].get("content") or "")
    assert result.finish_reason == (finish_reason or raw["choices"][0]["finish_reason"])
    assert result.model == "smollm2-135m"
    assert result.usage is not None
    assert result.usage.total_tokens == raw["usage"]["total_tokens"]
    assert result.raw == raw
