"""A whole chat completion, and how a response or a stream shows that the engine failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey._core.json import as_mapping, as_string, loads
from inferencekey.errors import GenerationFailed, ResponseFormatError
from inferencekey.models import TextResult

__all__ = ["FAILED", "engine_failure", "has_error", "text_result"]

FAILED: Final = frozenset({"error", "abort"})
"""The ``finish_reason`` values of an engine that stopped with an error."""


def text_result(body: bytes, *, request_id: str | None = None) -> TextResult:
    """Return the result of a whole response.

    Raises:
        GenerationFailed: the engine stopped with an error (``finish_reason`` ``"error"`` or
            ``"abort"``, or an error in a response with status 200).
        ResponseFormatError: a field that the contract requires is missing; the message names it.
    """
    raw = loads(body, "the chat completion", request_id)
    response = as_mapping(raw)
    if response is None:
        raise ResponseFormatError.of(
            "the chat completion is not a JSON object", request_id=request_id
        )
    if has_error(response):
        raise in_band_error(raw, request_id=request_id)
    choice = _first(response.get("choices"))
    if choice is None:
        raise ResponseFormatError.of("the chat completion has no choices[0]", request_id=request_id)
    message = as_mapping(choice.get("message"))
    # A message that only calls tools may leave its content out.
    if message is None or ("content" not in message and not message.get("tool_calls")):
        raise ResponseFormatError.of(
            "the chat completion has no choices[0].message.content",
            request_id=request_id,
        )
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise ResponseFormatError.of(
            "choices[0].message.content is not a string", request_id=request_id
        )
    result = TextResult(
        content or "",
        as_string(response.get("model")),
        as_string(choice.get("finish_reason")),
        usage_of(response.get("usage")),
        raw,
        request_id,
    )
    if result.finish_reason in FAILED:
        raise engine_failure(result)
    return result


def engine_failure(result: TextResult) -> GenerationFailed:
    """Return the error of a result whose ``finish_reason`` is one of :data:`FAILED`."""
    return GenerationFailed.of(
        f"the engine stopped with an error (finish_reason {result.finish_reason!r}); "
        f"{len(result.text)} characters had arrived, see .partial_text",
        partial_text=result.text,
        result=result,
        code=result.finish_reason,
        request_id=result.request_id,
    )


def has_error(response: Mapping[str, Any]) -> bool:
    """Whether a response or a chunk reports an error under the key ``error``."""
    error = response.get("error")
    # Some engines put an empty "error" into every chunk. Only one with nothing else is an error.
    return bool(error) or (error is not None and error is not False and not response.get("choices"))


def _first(choices: Any) -> Mapping[str, Any] | None:
    if isinstance(choices, list) and choices:
        return as_mapping(cast("list[Any]", choices)[0])
    return None
