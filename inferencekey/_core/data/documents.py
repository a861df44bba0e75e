"""A whole document where a stream was requested, and a stream where a document was."""

from __future__ import annotations

from typing import Final

from inferencekey._core.data.choices import reports_error
from inferencekey._core.data.sse import SSEDecoder, looks_like_events
from inferencekey._core.http_errors import in_band_error, words
from inferencekey._core.json import as_mapping, loads_loosely, preview
from inferencekey.errors import InferenceKeyError, ResponseFormatError

__all__ = ["DOCUMENT_LIMIT", "check_whole", "document_error", "is_document"]

DOCUMENT_LIMIT: Final = 64 * 1024
"""How many bytes are read of a document that came instead of a stream, for the error's message."""

_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"}
)


def is_document(content_type: str) -> bool:
    """Whether a response of this media type is a document, and no event stream."""
    return (
        content_type in _LINES
        or content_type in ("application/json", "text/json", "text/html", "application/xhtml+xml")
        or content_type.endswith("+json")
    )


def document_error(content_type: str, data: bytes, *, ended: bool) -> InferenceKeyError | None:
    """Return the error of a document that came instead of a stream; ``None``: read on.

    Args:
        content_type: its media type.
        data: its first bytes.
        ended: whether that is all, or all that is wanted.
    """
    if looks_like_events(data):
        return event_stream_error(
            data,
            f"the response is an event stream, but it is labelled {content_type}; whatever sends "
            "it (the engine, or a proxy before it) must label it text/event-stream",
        )
    start = data.strip()
    line, newline, second = data.lstrip().partition(b"\n")
    if _is_object(line) and (second.strip() or (content_type in _LINES and (newline or ended))):
        found = next(filter(None, map(_of_json, start.split(b"\n"))), None)
        return found or ResponseFormatError.of(
            "a stream of server-sent events was requested, but the response is JSON lines: "
            f"{preview(start)}; check that this workload's engine speaks OpenAI's protocol"
        )
    if not ended and len(data) < DOCUMENT_LIMIT:
        return None
    if "html" in content_type:
        return ResponseFormatError.of(
            f"a stream was requested, but the response is a web page: {preview(start)}"
        )
    found = _of_json(start)
    if found is not None:
        return found
    if _is_object(start):
        return ResponseFormatError.of(
            "a stream was requested, but the response is one JSON document; check that this "
            "workload's engine supports streaming, or use generate_text"
        )
    shown = words(start)[0] or "nothing"
    return ResponseFormatError.of(
        f"a stream was requested, but the response is a document ({content_type}): {shown}"
    )


def check_whole(body: bytes, request_id: str | None, way_out: str) -> None:
    """Raise an error for a body that is an event stream, where a document was requested.

    Args:
        body: the body, or its beginning.
        request_id: the response's ``x-request-id``.
        way_out: what to do about it.
    """
    if looks_like_events(body):
        error = event_stream_error(
            body,
            f"a whole response was requested, but this is an event stream: {preview(body)}; "
            f"{way_out}",
        )
        error.request_id = request_id
        raise error


def event_stream_error(data: bytes, otherwise: str) -> InferenceKeyError:
    """Return the error that the stream's first events report, or else the given one."""
    decoder = SSEDecoder(loose=True)
    for event in [*decoder.feed(data[:DOCUMENT_LIMIT]), *decoder.rest()]:
        found = _of_json(event.data)
        if found is None and event.event == "error":
            found = in_band_error(event.data.decode("utf-8", "replace"))
        if found is not None:
            return found
    return ResponseFormatError.of(otherwise)


def _of_json(data: bytes) -> InferenceKeyError | None:
    try:
        raw = as_mapping(loads_loosely(data))
    except (ValueError, RecursionError):
        return None
    return in_band_error(raw) if raw is not None and reports_error(raw) else None


def _is_object(data: bytes) -> bool:
    try:
        return as_mapping(loads_loosely(data)) is not None
    except (ValueError, RecursionError):
        return False
