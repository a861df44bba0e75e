"""Checks of arguments that are lists of strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from inferencekey.errors import ValidationError

__all__ = ["checked_texts"]


def checked_texts(given: object, argument: str) -> list[str]:
    """Return the strings as a list.

    Raises:
        ValidationError: it is not a list of strings, it is empty, or one of the strings is blank.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ValidationError.of(f"{argument} must be a string or a list of strings")
    texts = cast("Sequence[object]", given)
    if not texts:
        raise ValidationError.of(f"{argument} must not be empty")
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            where = f"{argument}[{index}]" if len(texts) > 1 else argument
            raise ValidationError.of(f"{where} must be a string that is not blank")
    return [cast("str", text) for text in texts]
