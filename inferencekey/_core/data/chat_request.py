"""The body of a chat request, as the platform contract fixes it (OpenAI's chat completions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from inferencekey.errors import ValidationError
from inferencekey.models.half_characters import HALF_CHARACTER
from inferencekey.models.numbers import integer_problem, number_problem
from inferencekey.printable import surrogate_in

__all__ = ["chat_body"]

Message = Mapping[str, Any]


def chat_body(
    *,
    model: str,
    prompt: str | None,
    messages: Sequence[Message] | None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    top_p: float | None = None,
    stop: str | Sequence[str] | None = None,
    seed: int | None = None,
    extra_body: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> dict[str, Any]:
    """Return the JSON body. Arguments that are ``None`` are not sent.

    Args:
        extra_body: further fields. They replace any other field except ``stream``.

    Raises:
        ValidationError: not exactly one of *prompt* and *messages* is given, the prompt or a
            content is blank, there is no message or one without a role, a number is out of its
            range, or *extra_body* is not a mapping.
    """
    body: dict[str, Any] = {"model": model, "messages": _messages(prompt, messages)}
    # Most calls give none of these. An argument that is not given costs no function call.
    if temperature is not None:
        _put(body, "temperature", temperature, number_problem(temperature, at_least=0))
    if max_tokens is not None:
        _put(body, "max_tokens", max_tokens, integer_problem(max_tokens, at_least=1))
    if top_p is not None:
        _put(body, "top_p", top_p, number_problem(top_p, at_least=0))
    if stop is not None:
        body["stop"] = _stop(stop)
    if seed is not None:
        _put(body, "seed", seed, integer_problem(seed))
    if extra_body is not None:
        if not isinstance(cast("object", extra_body), Mapping):
            raise ValidationError.of("extra_body must be a mapping with further fields of the body")
        body.update(extra_body)
    body.pop("stream", None)
    if stream:
        body["stream"] = True
    return body


def _messages(prompt: str | None, messages: Sequence[Message] | None) -> list[dict[str, Any]]:
    if (prompt is None) == (messages is None):
        raise ValidationError.of("give exactly one of prompt and messages")
    if prompt is not None:
        if not isinstance(cast("object", prompt), str) or not prompt.strip():
            raise ValidationError.of("prompt must be a string that is not blank")
        if surrogate_in(prompt):
            # In the body it is messages[0].content, which is not what the caller has given.
            raise ValidationError.of(f"prompt {HALF_CHARACTER}")
        return [{"role": "user", "content": prompt}]
    given: object = messages
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        raise ValidationError.of("messages must be a list of {'role': …, 'content': …}")
    if not given:
        raise ValidationError.of("messages must not be empty")
    return [
        _message(index, message) for index, message in enumerate(cast("Sequence[object]", given))
    ]


def _message(index: int, given: object) -> dict[str, Any]:
    name = f"messages[{index}]"
    if not isinstance(given, Mapping):
        raise ValidationError.of(f"{name} must be {{'role': …, 'content': …}}")
    message = dict(cast("Mapping[str, Any]", given))
    role = message.get("role")
    if not isinstance(role, str) or not role.strip():
        raise ValidationError.of(f"{name} must have a role")
    content: object = message.get("content")
    # A message of an assistant that calls tools may have no content.
    calls_tools = bool(message.get("tool_calls")) or bool(message.get("function_call"))
    if content is None:
        blank = not calls_tools
    elif isinstance(content, str):
        blank = not content.strip() and not calls_tools and role != "tool"
    elif isinstance(content, Sequence) and not isinstance(content, (bytes, bytearray)):
        blank = all(_is_blank_part(part) for part in cast("Sequence[object]", content))
    else:
        raise ValidationError.of(f"{name}.content must be a string or a list of parts")
    if blank:
        raise ValidationError.of(f"{name}.content must not be blank")
    return message


def _is_blank_part(part: object) -> bool:
    if not isinstance(part, Mapping):
        return False
    given = cast("Mapping[str, object]", part)
    text = given.get("text")
    return given.get("type") == "text" and (
        text is None or (isinstance(text, str) and not text.strip())
    )


def _put(body: dict[str, Any], name: str, value: object, problem: str | None) -> None:
    if problem is not None:
        raise ValidationError.of(f"{name} {problem}")
    body[name] = value


def _stop(stop: object) -> str | list[str]:
    if isinstance(stop, str) and stop:
        return stop
    if isinstance(stop, Sequence) and not isinstance(stop, (str, bytes)):
        texts = cast("Sequence[object]", stop)
        if texts and all(isinstance(text, str) and text for text in texts):
            return [cast("str", text) for text in texts]
    raise ValidationError.of("stop must be a string or a list of strings, none of them empty")
