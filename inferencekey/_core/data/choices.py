"""The choices of a chat completion: which one is the text, and what a content is.

A request may ask for several texts (``n`` above 1). The choice with index 0 is the result's text;
servers may send the choices in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from inferencekey._core.json import as_integer, as_mapping

__all__ = ["FAILED", "content_text", "indexed_choices", "reports_error"]

FAILED: Final = frozenset({"error", "abort"})
"""The ``finish_reason`` values of an engine that stopped with an error."""

_WORDS: Final = ("message", "msg", "error_message", "error_msg")


def indexed_choices(choices: Any) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """Yield each choice with its index: the one it has, else its place in the list."""
    if isinstance(choices, list):
        for place, item in enumerate(cast("list[Any]", choices)):
            choice = as_mapping(item)
            index = None if choice is None else as_integer(choice.get("index"))
            yield place if index is None else index, choice


def content_text(content: Any) -> str | None:
    """Return the text of a content: a string, or a list of parts, of which the text parts are read.

    ``None`` means that it is something else.
    """
    if not content and (content is None or isinstance(content, (str, list))):
        return ""
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else [content]
    texts: list[str] = []
    for item in parts:
        if isinstance(item, str):
            texts.append(item)
            continue
        part = as_mapping(item)
        if part is None:
            return None
        kind = part.get("type")
        # Parts of other types, such as "thinking" or "image_url", are not the text.
        if kind is None or (isinstance(kind, str) and kind.endswith("text")):
            text = part.get("text")
            if not isinstance(text, str):
                return None
            texts.append(text)
    return "".join(texts)


def reports_error(response: Mapping[str, Any], wanted: str = "choices") -> bool:
    """Whether a response or a chunk with status 200 reports an error, in any form.

    Args:
        response: the JSON object.
        wanted: the key of what was asked for.
    """
    if wanted in response and "error" not in response:
        return False
    error = response.get("error")
    # Some engines put an empty "error" into every chunk. Only one with nothing else is an error.
    if error or (error is not None and error is not False and not response.get(wanted)):
        return True
    return wanted not in response and (
        response.get("object") == "error"
        or response.get("type") == "error"
        or response.get("status") == "error"
        or bool(response.get("detail"))
        or bool(response.get("errors"))
        or any(isinstance(response.get(key), str) for key in _WORDS)
    )
