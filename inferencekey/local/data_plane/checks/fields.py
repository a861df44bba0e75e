"""Which values a stand-in accepts in the fields that chats and completions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from inferencekey._core.json import as_mapping
from inferencekey.errors import ValidationError
from inferencekey.models.numbers import integer_problem, is_integer, number_problem

__all__ = [
    "MAX_TOP_LOGPROBS",
    "Body",
    "are_functions",
    "check_not_blank",
    "check_response_format",
    "check_sampling",
    "check_tools",
    "integer_from",
    "is_token_ids",
    "without_nulls",
]

Body = Mapping[str, object]

Check = Callable[[str, object], None]
"""Gets the name of a field and its value; raises :class:`ValidationError` if the value is wrong."""

FORMATS: Final = ("text", "json_object", "json_schema")
MAX_STOPS: Final = 16
MAX_TOP_LOGPROBS: Final = 20
MAX_INT: Final = 2**31 - 1


def without_nulls(body: Body) -> dict[str, Any]:
    """Return the body without its fields that are ``null``: they are as if they were absent."""
    return {name: value for name, value in body.items() if value is not None}


def check_not_blank(field: str, text: str) -> None:
    """Check that a text is not empty or blank."""
    if not text.strip():
        raise ValidationError(f"{field} must not be blank")


def is_token_ids(value: object) -> bool:
    """Return whether a value is a list of at least one token id."""
    if not isinstance(value, list) or not value:
        return False
    return all(is_integer(item) for item in cast("list[object]", value))


def are_functions(value: object) -> bool:
    """Return whether a value is a list of objects that each describe or call a function."""
    if not isinstance(value, list):
        return False
    return all(_is_function(item) for item in cast("list[object]", value))


def check_sampling(body: Body, slots: int, **more: Check) -> dict[str, Any]:
    """Check the fields that control generation; return the body without nulls.

    Args:
        body: as the caller sent it.
        slots: the limit of ``n``.
        more: checks of other fields, or other checks of the same fields.
    """
    checked = without_nulls(body)
    for name, check in {**_SAMPLING, "n": integer_from(1, slots), **more}.items():
        if name in checked:
            check(name, checked[name])
    if "stream_options" in checked and not checked.get("stream"):
        raise ValidationError("stream_options requires stream to be true")
    return checked


def check_response_format(value: object) -> None:
    """Check the format that the answer must have."""
    if value is None:
        return
    response_format: Body = as_mapping(value) or {}
    kind = response_format.get("type")
    if kind not in FORMATS:
        raise ValidationError(f"response_format.type must be one of {', '.join(FORMATS)}")
    if kind != "json_schema":
        return
    # llama.cpp also accepts the schema beside the type.
    declared = as_mapping(response_format.get("json_schema"))
    holder = response_format if declared is None else declared
    if not isinstance(holder.get("schema"), dict):
        raise ValidationError("response_format.json_schema.schema must be an object")


def check_tools(body: Body) -> None:
    """Check the tools that the model may call."""
    tools = body.get("tools")
    if tools is not None and not are_functions(tools):
        raise ValidationError(
            "tools must be a list of {'type': 'function', 'function': {'name', …}}"
        )
    if not isinstance(body.get("tool_choice"), (str, dict, type(None))):
        raise ValidationError("tool_choice must be a string or an object")


def integer_from(low: int, high: int) -> Check:
    """Return the check of an integer with bounds."""

    def check(name: str, value: object) -> None:
        _raise_problem(name, integer_problem(value, at_least=low, at_most=high))

    return check


def _number_from(low: int, high: int) -> Check:
    def check(name: str, value: object) -> None:
        _raise_problem(name, number_problem(value, at_least=low, at_most=high))

    return check


def _raise_problem(name: str, problem: str | None) -> None:
    if problem is not None:
        raise ValidationError(f"{name} {problem}")


def _any_integer(name: str, value: object) -> None:
    _raise_problem(name, integer_problem(value))


def _boolean(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValidationError(f"{name} must be true or false; got {value!r}")


def _stop(name: str, value: object) -> None:
    stops = cast("list[object]", value) if isinstance(value, list) else [value]
    if len(stops) > MAX_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        raise ValidationError(
            f"{name} must be a non-empty string, or a list of at most {MAX_STOPS} non-empty strings"
        )


def _stream_options(name: str, value: object) -> None:
    options = as_mapping(value)
    if options is None or not isinstance(options.get("include_usage", False), bool):
        raise ValidationError(f"{name} must be an object like {{'include_usage': true}}")


def _logit_bias(name: str, value: object) -> None:
    if not isinstance(value, (dict, list)):
        raise ValidationError(f"{name} must be an object from token ids to numbers")


def _string(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"{name} must be a string; got {value!r}")


def _is_function(value: object) -> bool:
    mapping: Body = as_mapping(value) or {}
    function: Body = as_mapping(mapping.get("function")) or {}
    return mapping.get("type") == "function" and isinstance(function.get("name"), str)


_SAMPLING: Final[dict[str, Check]] = {
    "temperature": _number_from(0, 2),
    "top_p": _number_from(0, 1),
    "min_p": _number_from(0, 1),
    "frequency_penalty": _number_from(-2, 2),
    "presence_penalty": _number_from(-2, 2),
    "max_tokens": integer_from(1, MAX_INT),
    "max_completion_tokens": integer_from(1, MAX_INT),
    "seed": _any_integer,
    "stop": _stop,
    "stream": _boolean,
    "stream_options": _stream_options,
    "logprobs": _boolean,
    "top_logprobs": integer_from(0, MAX_TOP_LOGPROBS),
    "logit_bias": _logit_bias,
    "grammar": _string,
}
