"""Bytes to JSON values, and the few questions asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from inferencekey.errors import ResponseFormatError

__all__ = ["as_mapping", "dumps", "integer", "loads", "preview", "text_or_none"]


def loads(data: bytes, what: str) -> Any:
    """Decode JSON.

    Raises:
        ResponseFormatError: it is not JSON in UTF-8; the message names *what* it was and shows its beginning.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ResponseFormatError(f"unexpected answer: {what} is not JSON ({error}): {preview(data)}") from None


def dumps(value: Any, what: str = "the body") -> bytes:
    """Encode JSON.

    Raises:
        ValidationError: *value* holds something JSON cannot carry.
    """
    from inferencekey.errors import ValidationError

    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"validation error: {what} cannot be sent as JSON: {error}") from None


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
    text = data[: limit + 1].decode("utf-8", "replace")
    return repr(text[:limit]) + ("…" if len(data) > limit else "")
