"""Bytes to JSON values, and the few questions asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from inferencekey.config import redact
from inferencekey.errors import ResponseFormatError, ValidationError

__all__ = ["as_mapping", "dumps", "integer", "loads", "plain", "preview", "text_or_none"]


def loads(data: bytes, what: str, request_id: str | None = None) -> Any:
    """Decode JSON.

    Raises:
        ResponseFormatError: it is not JSON in UTF-8; the message names *what* it was and shows its beginning.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ResponseFormatError(
            f"unexpected answer: {what} is not JSON ({error}): {preview(data)}", request_id=request_id
        ) from None


def dumps(value: Any, what: str = "the body") -> bytes:
    """Encode JSON.

    Raises:
        ValidationError: *value* holds something JSON cannot carry.
    """
    try:
        return orjson.dumps(value, default=_opened, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"validation error: {what} cannot be sent as JSON: {error}") from None


def plain(value: Any, what: str) -> Any:
    """Return *value* as the server will give it back: dicts, lists, strings, numbers.

    Raises:
        ValidationError: *value* holds something JSON cannot carry.
    """
    return orjson.loads(dumps(value, what))


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(cast("Sequence[Any]", value))
    raise TypeError(f"{type(cast('object', value)).__name__} is not a JSON value")


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """Return *value* if it is a JSON object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def text_or_none(value: Any) -> str | None:
    """Return *value* if it is a string."""
    return value if isinstance(value, str) else None


def integer(value: Any) -> int | None:
    """Return *value* if it is a whole number (some servers write 3.0)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def preview(data: bytes, limit: int = 120) -> str:
    """Return the beginning of *data* for a message."""
    text = data[:limit].decode("utf-8", "replace")
    return repr(redact(text)) + ("…" if len(data) > limit else "")
