"""A streamed chat completion: its events become chunks and a result, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson

from inferencekey._core.data.chat_response import FAILED, engine_failure, has_error
from inferencekey._core.data.fast_chunks import UNKNOWN, ChunkPattern, not_plain
from inferencekey._core.data.sse import Event
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey._core.json import as_string, preview
from inferencekey.errors import GenerationFailed, ResponseFormatError, StreamInterrupted
from inferencekey.models import TextChunk, TextResult
from inferencekey.models.results import text_chunk

__all__ = ["ChatStream"]


class ChatStream:
    """Builds the result of a stream from its events, and knows whether the stream is complete.

    A stream is complete after ``[DONE]`` or a ``finish_reason``. Any other end is an interruption.

    Args:
        request_id: the response's ``x-request-id``.
        allow_bare_end: accept an end with neither, for engines that are known to send neither.
    """

    __slots__ = (
        "_allow_bare_end",
        "_finish_reason",
        "_misses",
        "_model",
        "_pattern",
        "_raw",
        "_request_id",
        "_texts",
        "_usage",
        "done",
    )

    def __init__(self, *, request_id: str | None = None, allow_bare_end: bool = False) -> None:
        self._request_id = request_id
        self._allow_bare_end = allow_bare_end
        self._texts: list[str] = []
        self._finish_reason: str | None = None
        self._model: str | None = None
        self._usage: Any = None
        self._raw: Any = None  # the last chunk: parsed, or still its bytes
        self._pattern = UNKNOWN
        self._misses = 0
        self.done = False
        """``[DONE]`` has arrived, so nothing more will come."""

    @property
    def complete(self) -> bool:
        """Whether the stream has reached its end."""
        return self.done or self._finish_reason is not None

    def take_all(self, events: Iterable[bytes | Event], chunks: list[TextChunk]) -> bool:
        """Append the events' chunks to *chunks*, and return whether ``[DONE]`` has arrived.

        Args:
            events: events, or the bytes of events that have nothing but data.
            chunks: the list to append to.

        Raises:
            InferenceKeyError: as from ``take``; the chunks of the earlier events are in *chunks*.
        """
        texts = self._texts
        head, tail, start, end, size = self._pattern
        for event in events:
            kind = "message"
            if isinstance(event, bytes):
                # Nearly every chunk is read here. This is inline because a call would cost more.
                if (
                    event.startswith(head)
                    and event.endswith(tail)
                    and len(event) > size
                    and not not_plain(plain := event[start:end])
                ):
                    try:
                        text = plain.decode()
                    except UnicodeDecodeError:
                        pass  # parsing it below raises the error
                    else:
                        texts.append(text)
                        chunks.append(text_chunk(text, event))
                        self._raw, self._misses = event, 0
                        continue
            else:
                kind = event.event
                event = event.data
            raw = self._parsed(event, kind)
            if raw is None:
                return True
            if (found := _text_only(raw)) is None:
                chunks.append(self._chunk(event, raw))
                continue
            # Only the bytes are kept: hundreds of parsed chunks that are alive at the same time
            # would make the garbage collector run often.
            texts.append(found)
            chunks.append(text_chunk(found, event))
            self._raw = event
            if self._model is None:
                self._model = as_string(raw.get("model"))
            # If every chunk is different, stop looking for a pattern after a few of them.
            if (
                self._misses < 4
                and "error" not in raw
                and (learnt := ChunkPattern.of(event, found)) is not None
            ):
                self._misses += 1
                head, tail, start, end, size = self._pattern = learnt
        return False

    def take(self, event: Event) -> TextChunk | None:
        """Return the event's chunk, or ``None`` for ``[DONE]``.

        Raises:
            GenerationFailed: an error of any shape came in the stream, or the engine gave up.
            ResponseFormatError: the event is not a chunk.
        """
        raw = self._parsed(event.data, event.event)
        return None if raw is None else self._chunk(event.data, raw)

    def _parsed(self, data: bytes, kind: str) -> dict[str, Any] | None:
        """Return the JSON object of an event, or ``None`` for ``[DONE]``."""
        try:
            raw = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            if data.strip() == b"[DONE]":
                self.done = True
                return None
            if kind == "error":
                raise self._failed(data.decode("utf-8", "replace")) from None
            raise ResponseFormatError.of(
                f"an event of the stream is not JSON ({error}): {preview(data)}",
                request_id=self._request_id,
            ) from None
        if kind == "error":
            raise self._failed(raw)
        if not isinstance(raw, dict):
            raise ResponseFormatError.of(
                f"an event of the stream is not a JSON object: {preview(data)}",
                request_id=self._request_id,
            )
        return cast("dict[str, Any]", raw)

    def _chunk(self, data: bytes, chunk: dict[str, Any]) -> TextChunk:
        if "error" in chunk and has_error(chunk):
            raise self._failed(chunk)
        self._raw = chunk
        if self._model is None:
            self._model = as_string(chunk.get("model"))
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        if not choices:
            if "choices" not in chunk and _is_bare_error(chunk):
                raise self._failed(chunk)
            return TextChunk("", None, chunk)
        try:
            choice = choices[0]
            delta = choice.get("delta")
            text = (delta.get("content") if delta else None) or ""
            reason = choice.get("finish_reason")
        except (AttributeError, KeyError, TypeError, IndexError):
            raise ResponseFormatError.of(
                "the choices of an event are not those of a chat completion chunk: "
                f"{preview(data)}",
                request_id=self._request_id,
            ) from None
        if not isinstance(text, str) or not (reason is None or isinstance(reason, str)):
            raise ResponseFormatError.of(
                f"choices[0].delta.content or finish_reason is not a string: {preview(data)}",
                request_id=self._request_id,
            )
        if text:
            self._texts.append(text)
        if reason:
            self._finish_reason = reason
            if reason in FAILED:
                raise engine_failure(self.result())
        return TextChunk(text, reason or None, chunk)

    def end(
        self, unfinished: Event | None, cause: str = "the server closed the connection"
    ) -> None:
        """Report that the bytes have ended.

        Args:
            unfinished: the event that was not finished, if there is one.
            cause: why the bytes have ended, for the message.

        Raises:
            StreamInterrupted: neither ``[DONE]`` nor a ``finish_reason`` has arrived.
        """
        if unfinished is not None and unfinished.data.strip() == b"[DONE]":
            self.done = True
        if self.complete or (self._allow_bare_end and unfinished is None):
            return
        if unfinished is not None:
            cause += " in the middle of an event"
        raise self.interrupted(cause)

    def interrupted(self, cause: str) -> StreamInterrupted:
        """Return the error of a stream that has ended too early."""
        result = self.result()
        return StreamInterrupted.of(
            f"the stream ended before it was complete ({cause}); "
            f"{len(result.text)} characters had arrived, see .partial_text",
            partial_text=result.text,
            result=result,
            request_id=self._request_id,
        )

    def result(self) -> TextResult:
        """Return the result of the events so far."""
        return TextResult(
            "".join(self._texts),
            self._model,
            self._finish_reason,
            usage_of(self._usage),
            orjson.loads(self._raw) if isinstance(self._raw, bytes) else self._raw,
            self._request_id,
        )

    def _failed(self, raw: Any) -> GenerationFailed:
        result = self.result()
        return in_band_error(
            raw, request_id=self._request_id, partial_text=result.text, result=result
        )


def _text_only(chunk: dict[str, Any]) -> str | None:
    """Return the text of a chunk that has nothing else in it; ``None`` for any other chunk."""
    try:
        choice = chunk["choices"][0]
        text = choice["delta"]["content"]
        if (
            text
            and type(text) is str
            and not choice.get("finish_reason")
            and not chunk.get("usage")
        ):
            return text if chunk.get("error") is None else None
    except (LookupError, TypeError, AttributeError):
        pass
    return None


def _is_bare_error(event: Mapping[str, Any]) -> bool:
    """Whether an event is an error without the key ``error`` around it, as some engines send."""
    return (
        event.get("object") == "error"
        or bool(event.get("detail"))
        or isinstance(event.get("message"), str)
    )
