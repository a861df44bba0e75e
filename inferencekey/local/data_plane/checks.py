"""What a body of the data plane may say.

llama.cpp answers 200 to a role that does not exist, to no messages, to ``temperature: 99``; and 500 to a message without
a role or an image it cannot see. Here each of them is a 400 that names the field. What is valid is sent on as it came,
fields that are unknown here included: an engine has settings of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import attrs

from inferencekey._core.json import as_mapping
from inferencekey.errors import ValidationError

__all__ = ["RerankRequest", "check_chat", "check_completion", "check_embeddings", "check_rerank"]

Body = Mapping[str, object]

ROLES: Final = ("system", "developer", "user", "assistant", "tool")
FORMATS: Final = ("text", "json_object", "json_schema")
MAX_STOPS: Final = 16
MAX_TOP_LOGPROBS: Final = 20
MAX_DOCUMENTS: Final = 1000
MAX_INPUTS: Final = 2048


@attrs.frozen
class RerankRequest:
    """What a rerank asks for. ``top_n`` is at least 1, and may be more than there are documents."""

    query: str
    documents: tuple[str, ...]
    top_n: int


def check_chat(body: Body, *, slots: int) -> dict[str, Any]:
    """Return the body as the engine may see it, without what was sent as ``null``.

    Args:
        body: as the caller sent it.
        slots: how many sequences the engine computes at once; the limit of ``n``.

    Raises:
        ValidationError: what is wrong, by name.
    """
    _messages(body.get("messages"))
    checked = _sampling(body, slots)
    if checked.get("top_logprobs") is not None and not checked.get("logprobs"):
        raise ValidationError("top_logprobs needs logprobs to be true")
    _response_format(checked.get("response_format"))
    _tools(checked)
    return checked


def check_completion(body: Body, *, slots: int) -> dict[str, Any]:
    """Return the body of a plain completion as the engine may see it: one prompt, a text or token ids.

    Raises:
        ValidationError: what is wrong, by name.
    """
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        if not prompt.strip():
            raise ValidationError("prompt must not be blank")
    elif not _is_token_ids(prompt):
        raise ValidationError("prompt must be a string, or a list of token ids")
    return _sampling(body, slots, logprobs=_whole(0, MAX_TOP_LOGPROBS))


def check_embeddings(body: Body, *, dimensions: int) -> dict[str, Any]:
    """Return the body as the engine may see it.

    Args:
        body: as the caller sent it.
        dimensions: the length of the engine's vectors: the only one that can be asked for.

    Raises:
        ValidationError: what is wrong, by name.
    """
    given = body.get("input")
    if isinstance(given, str):
        _not_blank("input", given)
    elif not isinstance(given, list) or not given:
        raise ValidationError("input must be a string, or a list of at least one")
    elif not _is_token_ids(cast("object", given)):
        if len(cast("list[object]", given)) > MAX_INPUTS:
            raise ValidationError(f"input must not be more than {MAX_INPUTS}")
        for index, item in enumerate(cast("list[object]", given)):
            if isinstance(item, str):
                _not_blank(f"input[{index}]", item)
            elif not _is_token_ids(item):
                raise ValidationError(f"input[{index}] must be a string, or a list of token ids")
    checked = {name: value for name, value in body.items() if value is not None}
    if checked.get("encoding_format", "float") not in ("float", "base64"):
        raise ValidationError(
            f"encoding_format must be 'float' or 'base64'; got {body['encoding_format']!r}"
        )
    asked = checked.pop("dimensions", dimensions)
    if isinstance(asked, bool) or asked != dimensions:
        raise ValidationError(f"dimensions: this model's vectors have {dimensions}; got {asked!r}")
    return checked


def check_rerank(body: Body) -> RerankRequest:
    """Return what to rank.

    Raises:
        ValidationError: what is wrong, by name.
    """
    query = body.get("query")
    if not isinstance(query, str):
        raise ValidationError("query must be a string")
    _not_blank("query", query)
    given: object = body.get("documents")
    items = cast("list[object]", given) if isinstance(given, list) else []
    if not items:
        raise ValidationError("documents must be a list of at least one string")
    if len(items) > MAX_DOCUMENTS:
        raise ValidationError(f"documents must not be more than {MAX_DOCUMENTS}")
    documents = tuple(_document(index, item) for index, item in enumerate(items))
    top_n = body.get("top_n")
    if top_n is None:
        return RerankRequest(query, documents, len(documents))
    if isinstance(top_n, bool) or not isinstance(top_n, int) or top_n < 1:
        raise ValidationError(f"top_n must be an integer of at least 1; got {top_n!r}")
    return RerankRequest(query, documents, top_n)


def _document(index: int, item: object) -> str:
    given = as_mapping(item)
    if given is not None:
        item = given.get("text")
    if not isinstance(item, str):
        raise ValidationError(f"documents[{index}] must be a string")
    return item


# Messages


def _messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise ValidationError(
            "messages must be a list" if messages is not None else "messages is required"
        )
    if not messages:
        raise ValidationError("messages must not be empty")
    for index, message in enumerate(cast("list[object]", messages)):
        given = as_mapping(message)
        if given is None:
            raise ValidationError(f"messages[{index}] must be an object")
        _message(f"messages[{index}]", given)


def _message(where: str, message: Body) -> None:
    role = message.get("role")
    if role is None:
        raise ValidationError(f"{where}.role is required")
    if role not in ROLES:
        raise ValidationError(f"{where}.role must be one of {', '.join(ROLES)}; got {role!r}")
    if not isinstance(message.get("name"), (str, type(None))):
        raise ValidationError(f"{where}.name must be a string")
    calls = message.get("tool_calls")
    if calls is not None:
        _tool_calls(where, calls)
    content = message.get("content")
    # An assistant that called tools may say nothing itself; a tool may have nothing to tell.
    may_be_blank = (role == "assistant" and bool(calls)) or (
        role == "tool" and isinstance(content, str)
    )
    if isinstance(content, str):
        if not may_be_blank:
            _not_blank(f"{where}.content", content)
    elif isinstance(content, list):
        _parts(f"{where}.content", cast("list[object]", content))
    elif content is not None:
        raise ValidationError(f"{where}.content must be a string or a list of parts")
    elif not may_be_blank:
        raise ValidationError(f"{where}.content is required")


def _parts(where: str, parts: list[object]) -> None:
    texts: list[str] = []
    for index, part in enumerate(parts):
        given: Body = as_mapping(part) or {}
        if given.get("type") != "text":
            raise ValidationError(f"{where}[{index}]: this model takes parts of type 'text' only")
        text = given.get("text")
        if not isinstance(text, str):
            raise ValidationError(f"{where}[{index}].text must be a string")
        texts.append(text)
    _not_blank(where, "".join(texts))


def _tool_calls(where: str, calls: object) -> None:
    good = isinstance(calls, list) and all(_is_tool(call) for call in cast("list[object]", calls))
    if not good:
        raise ValidationError(
            f"{where}.tool_calls must be a list of {{'id', 'type': 'function', 'function'}}"
        )


def _not_blank(where: str, text: str) -> None:
    if not text.strip():
        raise ValidationError(f"{where} must not be blank")


# Everything else

Check = Callable[[str, object], None]


def _number(low: float, high: float) -> Check:
    def check(name: str, value: object) -> None:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if (
            not good
            or not math.isfinite(cast("float", value))
            or not low <= cast("float", value) <= high
        ):
            raise ValidationError(
                f"{name} must be a number from {low:g} to {high:g}; got {value!r}"
            )

    return check


def _whole(low: int | None = None, high: int | None = None) -> Check:
    bounds = (
        "" if low is None else f" of at least {low}" if high is None else f" from {low} to {high}"
    )

    def check(name: str, value: object) -> None:
        good = isinstance(value, int) and not isinstance(value, bool)
        number = value if isinstance(value, int) else 0
        if not good or (low is not None and number < low) or (high is not None and number > high):
            raise ValidationError(f"{name} must be an integer{bounds}; got {value!r}")

    return check


def _truth(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValidationError(f"{name} must be true or false; got {value!r}")


def _stop(name: str, value: object) -> None:
    stops = cast("list[object]", value) if isinstance(value, list) else [value]
    if len(stops) > MAX_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise ValidationError(
            f"{name} must be a string that is not empty, or a list of at most {MAX_STOPS} of them"
        )


def _stream_options(name: str, value: object) -> None:
    options = as_mapping(value)
    if options is None or not isinstance(options.get("include_usage", False), bool):
        raise ValidationError(f"{name} must be an object like {{'include_usage': true}}")


def _logit_bias(name: str, value: object) -> None:
    if not isinstance(value, (dict, list)):
        raise ValidationError(f"{name} must be an object from token ids to numbers")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string; got {value!r}")


_MAX_INT: Final = 2**31 - 1

_SAMPLING: Final[dict[str, Check]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "frequency_penalty": _number(-2, 2),
    "presence_penalty": _number(-2, 2),
    "max_tokens": _whole(1, _MAX_INT),
    "max_completion_tokens": _whole(1, _MAX_INT),
    "seed": _whole(),
    "stop": _stop,
    "stream": _truth,
    "stream_options": _stream_options,
    "logprobs": _truth,
    "top_logprobs": _whole(0, MAX_TOP_LOGPROBS),
    "logit_bias": _logit_bias,
    "grammar": _text,
}


def _sampling(body: Body, slots: int, **other: Check) -> dict[str, Any]:
    """Check the fields that say how to generate; return the body without those that are ``null``."""
    checked = {name: value for name, value in body.items() if value is not None}
    for name, check in {**_SAMPLING, "n": _whole(1, slots), **other}.items():
        if name in checked:
            check(name, checked[name])
    if "stream_options" in checked and not checked.get("stream"):
        raise ValidationError("stream_options needs stream to be true")
    return checked


def _response_format(value: object) -> None:
    if value is None:
        return
    given: Body = as_mapping(value) or {}
    kind = given.get("type")
    if kind not in FORMATS:
        raise ValidationError(f"response_format.type must be one of {', '.join(FORMATS)}")
    if kind == "json_schema":
        declared = as_mapping(given.get("json_schema"))
        # llama.cpp also takes the schema beside the type.
        schema = given.get("schema") if declared is None else declared.get("schema")
        if not isinstance(schema, dict):
            raise ValidationError("response_format.json_schema.schema must be an object")


def _tools(body: Body) -> None:
    tools = body.get("tools")
    if tools is not None:
        good = isinstance(tools, list) and all(
            _is_tool(tool) for tool in cast("list[object]", tools)
        )
        if not good:
            raise ValidationError(
                "tools must be a list of {'type': 'function', 'function': {'name', …}}"
            )
    if not isinstance(body.get("tool_choice"), (str, dict, type(None))):
        raise ValidationError("tool_choice must be a string or an object")


def _is_tool(tool: object) -> bool:
    given: Body = as_mapping(tool) or {}
    function: Body = as_mapping(given.get("function")) or {}
    return given.get("type") == "function" and isinstance(function.get("name"), str)


def _is_token_ids(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(
        isinstance(item, int) and not isinstance(item, bool) for item in cast("list[object]", value)
    )
