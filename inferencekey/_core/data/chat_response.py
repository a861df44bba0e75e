"""A whole chat completion, and how a response or a stream shows that the engine failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from inferencekey._core.data.choices import FAILED, content_text, indexed_choices, reports_error
from inferencekey._core.data.documents import check_whole
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey._core.json import as_mapping, as_string, loads
from inferencekey.errors import GenerationFailed, ResponseFormatError
from inferencekey.models import TextChoice, TextResult

__all__ = ["engine_failure", "text_result"]


def text_result(body: bytes, *, request_id: str | None = None) -> TextResult:
    """Return the result of a whole response.

    Raises:
        GenerationFailed: the engine stopped with an error (``finish_reason`` ``"error"`` or
            ``"abort"``, or an error in a response with status 200).
        ResponseFormatError: a field that the contract requires is missing; the message names it.
    """
    if body[:1] != b"{":
        check_whole(body, request_id, "read it with generate_text_stream")
    raw = loads(body, "the chat completion", request_id)
    response = as_mapping(raw)
    if response is None:
        raise ResponseFormatError.of(
            "the chat completion is not a JSON object", request_id=request_id
        )
    if reports_error(response):
        raise in_band_error(raw, request_id=request_id)
    first: Mapping[str, Any] | None = None
    others: dict[int, TextChoice] = {}
    choices: Any = response.get("choices")
    if type(choices) is list:
        # Nearly all answers have one choice.
        found = cast("list[Any]", choices)
        only = as_mapping(found[0]) if len(found) == 1 else None
        if only is not None and not only.get("index"):
            first, choices = only, None
    for index, choice in indexed_choices(choices) if choices else ():
        if index == 0:
            first = choice if first is None else first
        elif choice is not None:
            message = as_mapping(choice.get("message")) or {}
            text = content_text(message.get("content")) or ""
            reason = as_string(choice.get("finish_reason"))
            others.setdefault(index, TextChoice(index, text, reason))
    if first is None:
        why = "has no choice with index 0" if others else "has no choices[0]"
        raise ResponseFormatError.of(f"the chat completion {why}", request_id=request_id)
    result = TextResult(
        _text(first, request_id),
        as_string(response.get("model")),
        as_string(first.get("finish_reason")),
        usage_of(response.get("usage")),
        raw,
        request_id,
        tuple(others[index] for index in sorted(others)) if others else (),
    )
    if result.finish_reason in FAILED:
        raise engine_failure(result, first)
    return result


def _text(choice: Mapping[str, Any], request_id: str | None) -> str:
    message = as_mapping(choice.get("message"))
    failed = choice.get("finish_reason") in FAILED
    # A message that only calls tools may leave its content out, and so may one that failed.
    if message is None or ("content" not in message and not message.get("tool_calls")):
        if failed:
            return ""
        raise ResponseFormatError.of(
            "the chat completion has no choices[0].message.content",
            request_id=request_id,
        )
    content = message.get("content")
    text = content if type(content) is str else content_text(content)
    if text is None:
        raise ResponseFormatError.of(
            "choices[0].message.content is neither a string nor a list of parts",
            request_id=request_id,
        )
    return text


def engine_failure(result: TextResult, choice: Mapping[str, Any]) -> GenerationFailed:
    """Return the error of a result whose ``finish_reason`` is one of :data:`FAILED`.

    Args:
        result: what had arrived.
        choice: the choice; some engines put the reason into its ``error``.
    """
    if choice.get("error"):
        return in_band_error(
            {"error": choice["error"]},
            request_id=result.request_id,
            partial_text=result.text,
            result=result,
        )
    return GenerationFailed.of(
        f"the engine stopped with an error (finish_reason {result.finish_reason!r}); "
        f"{len(result.text)} characters had arrived, see .partial_text",
        partial_text=result.text,
        result=result,
        code=result.finish_reason,
        request_id=result.request_id,
    )
