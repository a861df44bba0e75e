"""Token counts, as engines write them."""

from __future__ import annotations

from typing import Any

from inferencekey._core.json import as_integer, as_mapping
from inferencekey.models import Usage

__all__ = ["usage_of"]


def usage_of(value: Any) -> Usage | None:
    """Return the counts; ``None`` if there are none. A count that is not an integer is ``None``."""
    counts = as_mapping(value)
    if not counts:
        return None
    return Usage(
        as_integer(counts.get("prompt_tokens")),
        as_integer(counts.get("completion_tokens")),
        as_integer(counts.get("total_tokens")),
    )
