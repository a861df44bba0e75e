"""JSON: decoding, encoding, and the checks of decoded values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, cast

import orjson

from inferencekey._core.half_characters import without_halves
from inferencekey.credentials import redact
from inferencekey.errors import ResponseFormatError, ValidationError
from inferencekey.models.half_characters import HALF_CHARACTER, half_character

__all__ = [
    "as_integer",
    "as_mapping",
    "as_string",
    "dumps",
    "loads",
    "loads_loosely",
    "not_finite",
    "plain",
    "preview",
]

Path = tuple[str | int, ...]


def loads(data: bytes, what: str, request_id: str | None = None) -> Any:
    """Decode JSON.

    Raises:
        ResponseFormatError: it is not JSON in UTF-8. The message begins with *what* and shows the
            first bytes.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            return without_halves(loads_loosely(data))
        except (ValueError, RecursionError):
            raise ResponseFormatError.of(
                f"{what} is not JSON ({error}): {preview(data)}",
                request_id=request_id,
            ) from None


def loads_loosely(data: bytes) -> Any:
    """Decode what engines write where they should write JSON.

    That is: NaN and the infinities, halves of characters (see :mod:`_core.half_characters`), and a
    byte order mark. The halves are still in the strings.

    Raises:
        ValueError: it is not even that.
        RecursionError: it is nested too deeply.
    """
    text = data.decode("utf-8", "surrogateescape")
    return json.loads(text.removeprefix("\ufeff"))


def dumps(value: Any, what: str = "the body") -> bytes:
    """Encode JSON.

    Raises:
        ValidationError: *value* contains something that JSON does not have.
    """
    try:
        return orjson.dumps(
            value, default=_opened, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
        )
    except (TypeError, ValueError, RecursionError) as error:
        # A name such as "config" is the beginning of the path; "the spec" is not a name.
        where = None
        if "surrogates" in str(error):
            where = half_character(value, "" if " " in what else what)
        if where is not None:
            raise ValidationError.of(f"{where or what} {HALF_CHARACTER}") from None
        raise ValidationError.of(f"{what} cannot be sent as JSON: {error}") from None


def plain(value: Any, what: str) -> Any:
    """Return *value* as the server will return it: dicts, lists, strings, numbers.

    Raises:
        ValidationError: *value* contains something that JSON does not have, such as NaN.
    """
    data = dumps(value, what)
    if b"null" in data:  # orjson writes null for NaN and the infinities, and raises no error
        for _, message in not_finite(value, (what,)):
            raise ValidationError.of(message)
    return orjson.loads(data)


def not_finite(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path of every number that JSON does not have, with a message that names it.

    Args:
        value: a value that :func:`dumps` accepts.
        path: the path of *value* itself.
    """
    if isinstance(value, float):
        if not isfinite(value):
            yield path, f"{'.'.join(map(str, path))} must be a finite number; got {float(value)}"
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            yield from not_finite(inner, (*path, str(key)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from not_finite(inner, (*path, index))
    else:
        # NumPy's arrays and scalars have this method.
        to_list: Any = getattr(cast("object", value), "tolist", None)
        if to_list is not None:
            yield from not_finite(to_list(), path)


def _opened(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(cast("Sequence[Any]", value))
    raise TypeError(f"{type(cast('object', value)).__name__} is not a JSON value")


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """Return *value* if it is a JSON object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_string(value: Any) -> str | None:
    """Return *value* if it is a string."""
    return value if isinstance(value, str) else None


def as_integer(value: Any) -> int | None:
    """Return *value* if it is an integer. ``3.0`` is one, because some servers write it so."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def preview(data: bytes, limit: int = 120) -> str:
    """Return the beginning of *data*, for a message."""
    # An echoed credential is recognised as a whole, so it is hidden before the text is cut.
    text = redact(data[: limit + 200].decode("utf-8", "replace"))[:limit]
    return repr(text) + ("…" if len(data) > limit else "")
