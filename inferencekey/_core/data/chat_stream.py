"""A streamed chat completion: its events become chunks and a result, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

import orjson

from inferencekey._core.data.chat_response import engine_failure
from inferencekey._core.data.choices import FAILED, content_text, indexed_choices, reports_error
from inferencekey._core.data.fast_chunks import UNKNOWN, ChunkPattern, not_plain
from inferencekey._core.data.sse import UNFRAMED, Event
from inferencekey._core.data.usage import usage_of
from inferencekey._core.half_characters import joined, without_halves
from inferencekey._core.http_errors import in_band_error, words
from inferencekey._core.json import as_mapping, as_string, loads_loosely, preview
from inferencekey.errors import GenerationFailed, ResponseFormatError, StreamInterrupted
from inferencekey.models import TextChoice, TextChunk, TextResult
from inferencekey.models.results import text_chunk

__all__ = ["ChatStream"]


class _Skipped(Exception):
    """The event is nothing: a keep-alive, or junk after the end of the text."""


class _Other:
    """What has arrived of a choice whose index is not 0."""

    __slots__ = ("finish_reason", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.finish_reason: str | None = None


class ChatStream:
    """Builds the result of a stream from its events, and knows whether the stream is complete.

    A stream is complete after ``[DONE]`` or a ``finish_reason`` of the choice with index 0. Any
    other end is an interruption. Junk that comes after the ``finish_reason`` is passed over; an
    error that the server reports is raised even then.

    Args:
        request_id: the response's ``x-request-id``.
        allow_bare_end: accept an end with neither, for engines that are known to send neither.
    """

    __slots__ = (
        "_allow_bare_end",
        "_finish_reason",
        "_held",
        "_loose",
        "_misses",
        "_model",
        "_others",
        "_pattern",
        "_raw",
        "_request_id",
        "_texts",
        "_unframed",
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
        self._held = ""  # half a character, which may find its other half in the next chunk
        self._loose: Any = None  # an event that is not quite JSON, with its halves of characters
        self._others: dict[int, _Other] = {}
        self._unframed = ""  # what the server said outside of events
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
            try:
                raw = self._parsed(event, kind)
            except _Skipped:
                continue
            if raw is None:
                if self._held:
                    chunks.append(self._half_at_the_end())
                return True
            if self._held or self._loose is not None or (found := _text_only(raw)) is None:
                try:
                    chunks.append(self._chunk(event, raw))
                except _Skipped:
                    continue
                head, tail, start, end, size = UNKNOWN if self._held else self._pattern
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
        """Return the event's chunk, or ``None`` for ``[DONE]`` and for an event that is nothing.

        Raises:
            GenerationFailed: an error of any shape came in the stream, or the engine gave up.
            ResponseFormatError: the event is not a chunk.
        """
        try:
            raw = self._parsed(event.data, event.event)
            return None if raw is None else self._chunk(event.data, raw)
        except _Skipped:
            return None

    def _parsed(self, data: bytes, kind: str) -> dict[str, Any] | None:
        """Return the JSON object of an event, or ``None`` for ``[DONE]``.

        Raises:
            _Skipped: the event is nothing.
        """
        self._loose = None
        try:
            raw = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            stripped = data.strip()
            if kind == UNFRAMED:
                self._take_unframed(data)
                raise _Skipped from None
            if stripped == b"[DONE]":
                self._check_done()
                self.done = True
                return None
            is_error = kind.strip().lower() == "error"
            if not stripped and not is_error:
                raise _Skipped from None
            try:
                self._loose = loads_loosely(data)
            except (ValueError, RecursionError):
                if is_error:
                    raise self._failed(data.decode("utf-8", "replace")) from None
                raise self._wrong(f"an event of the stream is not JSON ({error})", data) from None
            raw = without_halves(self._loose)
        if kind == UNFRAMED:
            self._take_unframed(data)
            raise _Skipped
        if kind.strip().lower() == "error":
            raise self._failed(raw)
        if not isinstance(raw, dict):
            raise self._wrong("an event of the stream is not a JSON object", data)
        return cast("dict[str, Any]", raw)

    def _wrong(self, why: str, data: bytes) -> ResponseFormatError | _Skipped:
        """Return the error for an event that is no chunk. After the text's end it is nothing."""
        if self._finish_reason is not None:
            return _Skipped()
        return ResponseFormatError.of(f"{why}: {preview(data)}", request_id=self._request_id)

    def _chunk(self, data: bytes, chunk: dict[str, Any]) -> TextChunk:
        if reports_error(chunk):
            raise self._failed(chunk)
        # Of an event that is not quite JSON, the text still has its halves of characters.
        source = chunk if self._loose is None else self._loose
        choices = source.get("choices")
        if choices and (
            not isinstance(choices, list) or not _are_choices(cast("list[Any]", choices))
        ):
            raise self._wrong(
                "the choices of an event are not those of a chat completion chunk", data
            )
        text = ""
        reason: str | None = None
        failed: Mapping[str, Any] = {}
        for index, choice in indexed_choices(choices):
            assert choice is not None
            delta: dict[str, Any] = choice.get("delta") or {}
            content, ended = content_text(delta.get("content")), choice.get("finish_reason") or None
            if content is None or not (ended is None or isinstance(ended, str)):
                raise self._wrong(
                    f"choices[{index}].delta.content is not a text, or finish_reason is not a "
                    "string",
                    data,
                )
            if index == 0:
                text += content
                reason = ended or reason
                failed = choice
            else:
                other = self._others.setdefault(index, _Other())
                other.texts.append(content)
                other.finish_reason = ended or other.finish_reason
        self._raw = chunk
        if self._model is None:
            self._model = as_string(chunk.get("model"))
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        if text or reason:
            text, self._held = joined(self._held + text, final=reason is not None)
        if text:
            self._texts.append(text)
        if reason:
            self._finish_reason = reason
            if reason in FAILED:
                raise engine_failure(self.result(), failed)
        return TextChunk(text, reason, chunk)

    def _half_at_the_end(self) -> TextChunk:
        """Return a last chunk for half a character whose other half has never come."""
        text, self._held = joined(self._held)[0], ""
        self._texts.append(text)
        return TextChunk(text, None, self.result().raw)

    def _take_unframed(self, data: bytes) -> None:
        """Take lines that are no fields: an error is raised, other words are kept for the end."""
        are_chunks = False
        for part in (data, *data.split(b"\n")):
            try:
                raw = as_mapping(loads_loosely(part))
            except (ValueError, RecursionError):
                continue
            if raw is None:
                continue
            if reports_error(raw):
                raise self._failed(raw)
            are_chunks = are_chunks or "choices" in raw
        if are_chunks:
            raise self._wrong("the response is JSON lines, no stream of server-sent events", data)
        if not self._unframed:
            self._unframed = words(data)[0]

    def _check_done(self) -> None:
        # An engine that fails may write its error between the events, and [DONE] after it.
        if self._unframed and self._finish_reason is None:
            raise self.interrupted("the server reported no end of the text")

    def take_rest(self, events: Iterable[Event]) -> Event | None:
        """Take what was left when the bytes ended, and return the unfinished event for ``end``.

        Raises:
            GenerationFailed: an error was left, with no blank line after it.
        """
        unfinished: Event | None = None
        for event in events:
            if event.event == UNFRAMED:
                with suppress(_Skipped):
                    self._take_unframed(event.data)
                continue
            unfinished = event
            try:
                raw = as_mapping(loads_loosely(event.data))
            except (ValueError, RecursionError):
                raw = None
            is_error = event.event.strip().lower() == "error" and event.data.strip() != b"[DONE]"
            if is_error or (raw is not None and reports_error(raw)):
                raise self._failed(raw or event.data.decode("utf-8", "replace"))
        return unfinished

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
            self._check_done()
            self.done = True
        if self._held:
            self._half_at_the_end()
        if self.complete or (self._allow_bare_end and unfinished is None):
            return
        if unfinished is not None:
            cause += " in the middle of an event"
        raise self.interrupted(cause)

    def interrupted(self, cause: str) -> StreamInterrupted:
        """Return the error of a stream that has ended too early."""
        result = self.result()
        if self._unframed:
            cause += f", and outside of the stream's events it said: {self._unframed}"
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
            tuple(
                TextChoice(index, joined("".join(other.texts))[0], other.finish_reason)
                for index, other in sorted(self._others.items())
            ),
        )

    def _failed(self, raw: Any) -> GenerationFailed:
        result = self.result()
        return in_band_error(
            raw, request_id=self._request_id, partial_text=result.text, result=result
        )


def _text_only(chunk: dict[str, Any]) -> str | None:
    """Return the text of a chunk that has nothing else in it; ``None`` for any other chunk."""
    try:
        choices = chunk["choices"]
        choice = choices[0]
        text = choice["delta"]["content"]
        if (
            text
            and type(text) is str
            and len(choices) == 1
            and not choice.get("index")
            and not choice.get("finish_reason")
            and not chunk.get("usage")
        ):
            return text if chunk.get("error") is None else None
    except (LookupError, TypeError, AttributeError):
        pass
    return None


def _are_choices(choices: list[Any]) -> bool:
    return all(
        isinstance(choice, dict)
        and isinstance(cast("dict[str, Any]", choice).get("delta") or {}, dict)
        for choice in choices
    )
