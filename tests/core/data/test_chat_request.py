"""The bodies of chat requests."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from inferencekey._core.data.chat_request import chat_body
from inferencekey.errors import ValidationError


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
def test_accepts_messages(message: dict[str, Any]) -> None:
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
            "validation error: temperature must be a finite number of at least 0; got nan",
        ),
        (
            {"temperature": float("inf")},
            "validation error: temperature must be a finite number of at least 0; got inf",
        ),
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
            "validation error: extra_body must be a mapping with further fields of the body",
        ),
        (
            {"extra_body": "n"},
            "validation error: extra_body must be a mapping with further fields of the body",
        ),
    ],
)
def test_wrong_arguments(given: dict[str, Any], text: str) -> None:
    prompt = {} if given.keys() & {"prompt", "messages"} or not given else {"prompt": "Hola"}
    with pytest.raises(ValidationError) as caught:
        body(**prompt, **given)
    assert str(caught.value) == text


def test_half_a_character_in_a_prompt() -> None:
    with pytest.raises(
        ValidationError, match="^validation error: prompt must not contain invalid Unicode"
    ):
        chat_body(model="m", prompt="a\ud83d", messages=None)
