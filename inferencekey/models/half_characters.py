"""Halves of characters in what a caller gives: lone surrogates, which no UTF-8 can hold.

Python makes them of ``"\\ud83d"``, of file names and arguments that are not UTF-8, and of texts
that were cut in UTF-16. They are refused where they are given, with the name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from inferencekey.printable import INVALID_UNICODE, surrogate_in

__all__ = ["HALF_CHARACTER", "half_character"]

HALF_CHARACTER: Final = f"must not contain {INVALID_UNICODE}"
"""What is wrong, to be read after the field's name."""


def half_character(value: Any, path: str = "") -> str | None:
    """Return the path of the first string with a lone surrogate, such as ``messages[0].content``.

    Args:
        value: mappings, sequences and strings; anything else has no string.
        path: the path of *value* itself.
    """
    if isinstance(value, str):
        return path if surrogate_in(value) else None
    found: str | None = None
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[Any, Any]", value).items():
            if isinstance(key, str) and surrogate_in(key):
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
