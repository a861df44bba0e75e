"""Halves of characters in what a caller gives: lone surrogates, which no UTF-8 can hold.

Python makes them of ``"\\ud83d"``, of file names and arguments that are not UTF-8, and of texts
that were cut in UTF-16. They are refused where they are given, with the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

__all__ = ["HALF_CHARACTER", "half_character", "has_half_character"]

HALF_CHARACTER: Final = "must not contain half a character (a lone surrogate)"
"""What is wrong, to be read after the field's name."""


def has_half_character(text: str) -> bool:
    """Whether a string has a lone surrogate, so that it cannot be sent as UTF-8."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def half_character(value: Any, path: str = "") -> str | None:
    """Return the path of the first string with a lone surrogate, such as ``messages[0].content``.

    Args:
        value: mappings, sequences and strings; anything else has no string.
        path: the path of *value* itself.
    """
    if isinstance(value, str):
        return path if has_half_character(value) else None
    found: str | None = None
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            if isinstance(key, str) and has_half_character(key):
                shown = key.encode("ascii", "backslashreplace").decode()
                return f"a key of {path} ({shown})" if path else f"the key {shown}"
            found = half_character(inner, f"{path}.{key}" if path else f"{key}")
            if found is not None:
                break
    elif isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            found = half_character(inner, f"{path}[{index}]")
            if found is not None:
                break
    return found
