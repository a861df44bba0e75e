"""Chat bodies and whole answers."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from inferencekey._core.data.chat import chat_body, text_result
from inferencekey.errors import GenerationFailed, ResponseFormatError, ValidationError
from inferencekey.models import Usage


def body(**given: Any) -> dict[str, Any]:
    return chat_body(**{"model": "support-bot", "prompt": None, "messages": None, **given})


HI = [{"role": "user", "content": "Hola"}]


def test_a_prompt_is_one_user_turn_and_nothing_else_is_sent() -> None:
    assert body(prompt="Hola") == {"model": "support-bot", "messages": HI}


def test_everything_given_is_sent() -> None:
    assert body(
        messages=HI,
        temperature=0,
        max_tokens=300,
        top_p=0.9,
        stop=("a", "b"),
        seed=-1,
        extra_body={"n": 1},
        stream=True,
    ) == {
        "model": "support-bot",
        "messages": HI,
        "temperature": 0,
        "max_tokens": 300,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "seed": -1,
        "n": 1,
        "stream": True,
    }


def test_extra_body_goes_over_everything_but_stream() -> None:
    made = body(
        prompt="Hola",
        temperature=1,
        extra_body={"temperature": 0.5, "model": "other", "stream": True},
    )
    assert made == {"model": "other", "messages": HI, "temperature": 0.5}
    assert body(prompt="Hola", extra_body={"stream": False}, stream=True)["stream"] is True
    assert body(prompt="Hola", extra_body=MappingProxyType({"n": 1}))["n"] == 1


@pytest.mark.parametrize(("stop", "sent"), [("\n", "\n"), (["a"], ["a"]), (("a", " "), ["a", " "])])
def test_one_stop_or_several(stop: Any, sent: Any) -> None:
    assert body(prompt="Hola", stop=stop)["stop"] == sent


def test_the_arguments_are_not_changed() -> None:
    messages = [MappingProxyType({"role": "user", "content": "Hola"})]
    made = body(messages=tuple(messages))
    made["messages"][0]["content"] = "other"
    assert messages[0]["content"] == "Hola"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hola"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": " "},
                {"type": "image_url", "image_url": {"url": "data:"}},
            ],
        },
        {"role": "user", "content": ("a part",)},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "assistant", "content": "", "function_call": {"name": "f"}},
        {"role": "tool", "content": "", "tool_call_id": "1"},
    ],
)
def test_messages_that_pass(message: dict[str, Any]) -> None:
    assert body(messages=[message])["messages"] == [message]


ONE_OF = "validation error: give exactly one of prompt and messages"
BLANK_PROMPT = "validation error: prompt must be a string that is not blank"
NO_LIST = "validation error: messages must be a list of {'role': …, 'content': …}"
BLANK_CONTENT = "validation error: messages[0].content must not be blank"
NO_CONTENT = "validation error: messages[0].content must be a string or a list of parts"
NO_ROLE = "validation error: messages[0] must have a role"
STOP = "validation error: stop must be a string or a list of strings, none of them empty"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, ONE_OF),
        ({"prompt": "a", "messages": HI}, ONE_OF),
        ({"prompt": "", "messages": []}, ONE_OF),
        ({"prompt": ""}, BLANK_PROMPT),
        ({"prompt": " \n\t"}, BLANK_PROMPT),
        ({"prompt": 5}, BLANK_PROMPT),
        ({"prompt": b"Hola"}, BLANK_PROMPT),
        ({"messages": []}, "validation error: messages must not be empty"),
        ({"messages": "Hola"}, NO_LIST),
        ({"messages": b"Hola"}, NO_LIST),
        ({"messages": HI[0]}, NO_LIST),
        ({"messages": iter(HI)}, NO_LIST),
        ({"messages": ["Hola"]}, "validation error: messages[0] must be {'role': …, 'content': …}"),
        (
            {"messages": [*HI, None]},
            "validation error: messages[1] must be {'role': …, 'content': …}",
        ),
        ({"messages": [{"content": "a"}]}, NO_ROLE),
        ({"messages": [{"role": " ", "content": "a"}]}, NO_ROLE),
        ({"messages": [{"role": 1, "content": "a"}]}, NO_ROLE),
        ({"messages": [{"role": "user"}]}, BLANK_CONTENT),
        ({"messages": [{"role": "user", "content": None}]}, BLANK_CONTENT),
        ({"messages": [{"role": "user", "content": " \n"}]}, BLANK_CONTENT),
        ({"messages": [{"role": "user", "content": []}]}, BLANK_CONTENT),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]},
            BLANK_CONTENT,
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, BLANK_CONTENT),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": []}]}, BLANK_CONTENT),
        ({"messages": [{"role": "tool", "content": None}]}, BLANK_CONTENT),
        ({"messages": [{"role": "user", "content": 5}]}, NO_CONTENT),
        ({"messages": [{"role": "user", "content": b"Hola"}]}, NO_CONTENT),
        ({"messages": [{"role": "user", "content": {"type": "text"}}]}, NO_CONTENT),
        (
            {"temperature": -0.1},
            "validation error: temperature must be a number of at least 0; got -0.1",
        ),
        (
            {"temperature": "0.2"},
            "validation error: temperature must be a number of at least 0; got '0.2'",
        ),
        (
            {"temperature": True},
            "validation error: temperature must be a number of at least 0; got True",
        ),
        (
            {"temperature": float("nan")},
            "validation error: temperature must be a number of at least 0; got nan",
        ),
        ({"temperature": float("inf")}, "validation error: temperature must be finite"),
        ({"top_p": -1}, "validation error: top_p must be a number of at least 0; got -1"),
        (
            {"max_tokens": 0},
            "validation error: max_tokens must be an integer of at least 1; got 0",
        ),
        (
            {"max_tokens": 1.5},
            "validation error: max_tokens must be an integer of at least 1; got 1.5",
        ),
        (
            {"max_tokens": True},
            "validation error: max_tokens must be an integer of at least 1; got True",
        ),
        ({"seed": "1"}, "validation error: seed must be an integer; got '1'"),
        ({"stop": ""}, STOP),
        ({"stop": []}, STOP),
        ({"stop": ["a", ""]}, STOP),
        ({"stop": [1]}, STOP),
        ({"stop": b"a"}, STOP),
        (
            {"extra_body": [("n", 1)]},
            "validation error: extra_body must be a mapping of the body's further fields",
        ),
        (
            {"extra_body": "n"},
            "validation error: extra_body must be a mapping of the body's further fields",
        ),
    ],
)
def test_wrong_arguments(given: dict[str, Any], text: str) -> None:
    prompt = {} if given.keys() & {"prompt", "messages"} or not given else {"prompt": "Hola"}
    with pytest.raises(ValidationError) as caught:
        body(**prompt, **given)
    assert str(caught.value) == text


def answer(message: Any = None, **fields: Any) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hola"} if message is None else message,
    }
    return orjson.dumps({"choices": [choice], **fields})


def test_a_whole_answer() -> None:
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


def test_what_a_server_leaves_out_is_none() -> None:
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
        (answer({"content": 5}), "choices[0].message.content is not a string"),
        (answer({"content": [{"type": "text"}]}), "choices[0].message.content is not a string"),
    ],
)
def test_an_answer_without_what_the_contract_requires_names_it(sent: bytes, text: str) -> None:
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
        (b'{"error": {}}', "api error: the engine reported an error without words", None),
        (b'{"error": ""}', 'api error: {"error":""}', None),
    ],
)
def test_an_error_in_a_200(sent: bytes, text: str, code: str | None) -> None:
    with pytest.raises(GenerationFailed) as caught:
        text_result(sent, request_id="r-1")
    assert (str(caught.value), caught.value.code, caught.value.request_id) == (text, code, "r-1")


@pytest.mark.parametrize("error", [None, False, "", {}, []])
def test_an_empty_error_beside_choices_is_none(error: object) -> None:
    assert text_result(answer(error=error)).text == "Hola"


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_engine_that_gave_up(reason: str) -> None:
    sent = orjson.dumps({"choices": [{"finish_reason": reason, "message": {"content": "Ho"}}]})
    with pytest.raises(GenerationFailed) as caught:
        text_result(sent, request_id="r-1")
    assert str(caught.value) == (
        f"api error: the engine gave up (finish_reason '{reason}'); 2 characters had arrived, see .partial_text"
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
