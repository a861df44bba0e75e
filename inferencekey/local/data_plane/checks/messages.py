"""Which messages of a chat a stand-in accepts."""

from __future__ import annotations

from typing import Final, cast

from inferencekey._core.json import as_mapping
from inferencekey.errors import ValidationError
from inferencekey.local.data_plane.checks.fields import Body, are_functions, check_not_blank

__all__ = ["check_messages"]

ROLES: Final = ("system", "developer", "user", "assistant", "tool")


def check_messages(messages: object) -> None:
    """Check the messages of a chat.

    Raises:
        ValidationError: a field is wrong; the message names it.
    """
    if messages is None:
        raise ValidationError("messages is required")
    if not isinstance(messages, list):
        raise ValidationError("messages must be a list")
    if not messages:
        raise ValidationError("messages must not be empty")
    for index, message in enumerate(cast("list[object]", messages)):
        mapping = as_mapping(message)
        if mapping is None:
            raise ValidationError(f"messages[{index}] must be an object")
        _check_message(f"messages[{index}]", mapping)


def _check_message(field: str, message: Body) -> None:
    role = message.get("role")
    if role is None:
        raise ValidationError(f"{field}.role is required")
    if role not in ROLES:
        raise ValidationError(f"{field}.role must be one of {', '.join(ROLES)}; got {role!r}")
    name = message.get("name")
    if name is not None and not isinstance(name, str):
        raise ValidationError(f"{field}.name must be a string")
    tool_calls = message.get("tool_calls")
    if tool_calls is not None and not are_functions(tool_calls):
        raise ValidationError(
            f"{field}.tool_calls must be a list of {{'id', 'type': 'function', 'function'}}"
        )
    content = message.get("content")
    # An assistant that calls tools may have no text of its own; a tool may return an empty text.
    calls_tools = role == "assistant" and bool(tool_calls)
    is_tool_result = role == "tool" and isinstance(content, str)
    _check_content(f"{field}.content", content, may_be_blank=calls_tools or is_tool_result)


def _check_content(field: str, content: object, *, may_be_blank: bool) -> None:
    if isinstance(content, str):
        if not may_be_blank:
            check_not_blank(field, content)
    elif isinstance(content, list):
        _check_parts(field, cast("list[object]", content))
    elif content is not None:
        raise ValidationError(f"{field} must be a string or a list of parts")
    elif not may_be_blank:
        raise ValidationError(f"{field} is required")


def _check_parts(field: str, parts: list[object]) -> None:
    texts: list[str] = []
    for index, part in enumerate(parts):
        mapping: Body = as_mapping(part) or {}
        if mapping.get("type") != "text":
            raise ValidationError(f"{field}[{index}]: this model accepts only parts of type 'text'")
        text = mapping.get("text")
        if not isinstance(text, str):
            raise ValidationError(f"{field}[{index}].text must be a string")
        texts.append(text)
    check_not_blank(field, "".join(texts))
