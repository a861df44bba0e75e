"""Chat: the request's body, a whole answer, and a stream's events put together.

The shapes are OpenAI's chat completions, as the platform contract fixes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from inferencekey._core import json as jsonval
from inferencekey._core.data.fast_chunks import UNKNOWN, ChunkPattern, not_plain
from inferencekey._core.data.sse import Event
from inferencekey._core.data.usage import usage_of
from inferencekey._core.http_errors import in_band_error
from inferencekey.errors import (
    GenerationFailed,
    ResponseFormatError,
    StreamInterrupted,
    ValidationError,
)
from inferencekey.models import TextChunk, TextResult
from inferencekey.models.numbers import integer_problem, number_problem
from inferencekey.models.results import text_chunk

__all__ = ["ChatStream", "chat_body", "text_result"]

FAILED: Final = frozenset({"error", "abort"})
"""``finish_reason`` values with which engines say that they gave up."""

Message = Mapping[str, Any]


def chat_body(
    *,
    model: str,
    prompt: str | None,
    messages: Sequence[Message] | None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    top_p: float | None = None,
    stop: str | Sequence[str] | None = None,
    seed: int | None = None,
    extra_body: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> dict[str, Any]:
    """Return the JSON body; what is ``None`` is not sent. *extra_body* goes over everything but ``stream``.

    Raises:
        ValidationError: not exactly one of *prompt* and *messages*; a blank prompt, no messages, blank content, a
            message without a role, a number out of its range, or an *extra_body* that is no mapping.
    """
    body: dict[str, Any] = {"model": model, "messages": _messages(prompt, messages)}
    _put(body, "temperature", temperature, number_problem(temperature, at_least=0))
    _put(body, "max_tokens", max_tokens, integer_problem(max_tokens, at_least=1))
    _put(body, "top_p", top_p, number_problem(top_p, at_least=0))
    if stop is not None:
        body["stop"] = _stop(stop)
    _put(body, "seed", seed, integer_problem(seed))
    if extra_body is not None:
        if not isinstance(cast("object", extra_body), Mapping):
            raise ValidationError.of("extra_body must be a mapping of the body's further fields")
        body.update(extra_body)
    body.pop("stream", None)
    if stream:
        body["stream"] = True
    return body


def _messages(prompt: str | None, messages: Sequence[Message] | None) -> list[dict[str, Any]]:
    if (prompt is None) == (messages is None):
        raise ValidationError.of("give exactly one of prompt and messages")
    if prompt is not None:
        if not isinstance(cast("object", prompt), str) or not prompt.strip():
            raise ValidationError.of("prompt must be a string that is not blank")
        return [{"role": "user", "content": prompt}]
    given: object = messages
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        raise ValidationError.of("messages must be a list of {'role': …, 'content': …}")
    if not given:
        raise ValidationError.of("messages must not be empty")
    return [
        _message(index, message) for index, message in enumerate(cast("Sequence[object]", given))
    ]


def _message(index: int, given: object) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(given, Mapping):
        raise ValidationError.of(f"{where} must be {{'role': …, 'content': …}}")
    message = dict(cast("Mapping[str, Any]", given))
    role = message.get("role")
    if not isinstance(role, str) or not role.strip():
        raise ValidationError.of(f"{where} must have a role")
    content: object = message.get("content")
    # An assistant turn that called tools, and only that, may say nothing itself.
    silent = bool(message.get("tool_calls")) or bool(message.get("function_call"))
    if content is None:
        blank = not silent
    elif isinstance(content, str):
        blank = not content.strip() and not silent and role != "tool"
    elif isinstance(content, Sequence) and not isinstance(content, (bytes, bytearray)):
        blank = all(_is_blank_part(part) for part in cast("Sequence[object]", content))
    else:
        raise ValidationError.of(f"{where}.content must be a string or a list of parts")
    if blank:
        raise ValidationError.of(f"{where}.content must not be blank")
    return message


def _is_blank_part(part: object) -> bool:
    if not isinstance(part, Mapping):
        return False
    given = cast("Mapping[str, object]", part)
    text = given.get("text")
    return given.get("type") == "text" and (
        text is None or (isinstance(text, str) and not text.strip())
    )


def _put(body: dict[str, Any], name: str, value: object, problem: str | None) -> None:
    """Put a setting into the body, unless it was not given."""
    if value is None:
        return
    if problem is not None:
        raise ValidationError.of(f"{name} {problem}")
    body[name] = value


def _stop(stop: object) -> str | list[str]:
    if isinstance(stop, str) and stop:
        return stop
    if isinstance(stop, Sequence) and not isinstance(stop, (str, bytes)):
        texts = cast("Sequence[object]", stop)
        if texts and all(isinstance(text, str) and text for text in texts):
            return [cast("str", text) for text in texts]
    raise ValidationError.of("stop must be a string or a list of strings, none of them empty")


def text_result(body: bytes, *, request_id: str | None = None) -> TextResult:
    """Return the result of a whole answer.

    Raises:
        GenerationFailed: the engine gave up (``finish_reason`` ``"error"`` or ``"abort"``, or an error in a 200).
        ResponseFormatError: a field that the contract requires is missing; the message names it.
    """
    raw = jsonval.loads(body, "the chat completion", request_id)
    answer = jsonval.as_mapping(raw)
    if answer is None:
        raise ResponseFormatError.of(
            "the chat completion is not a JSON object", request_id=request_id
        )
    if _says_error(answer):
        raise in_band_error(raw, request_id=request_id)
    choice = _first(answer.get("choices"))
    if choice is None:
        raise ResponseFormatError.of("the chat completion has no choices[0]", request_id=request_id)
    message = jsonval.as_mapping(choice.get("message"))
    # An answer of tool calls alone may leave its content out.
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
        jsonval.text_or_none(answer.get("model")),
        jsonval.text_or_none(choice.get("finish_reason")),
        usage_of(answer.get("usage")),
        raw,
        request_id,
    )
    if result.finish_reason in FAILED:
        raise _gave_up(result)
    return result


class ChatStream:
    """Puts a stream's events together, and knows whether the stream is whole.

    A stream is complete once ``[DONE]`` or a ``finish_reason`` was seen; any other end is an interruption.

    Args:
        request_id: the answer's ``x-request-id``.
        allow_bare_end: accept an end with neither, for engines known to send none.
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
        self._raw: Any = None  # of a chunk that was not parsed: its bytes
        self._pattern = UNKNOWN
        self._misses = 0
        self.done = False
        """``[DONE]`` was seen: nothing more is to come."""

    @property
    def complete(self) -> bool:
        """Whether the answer is whole."""
        return self.done or self._finish_reason is not None

    def take_all(self, events: Iterable[bytes | Event], chunks: list[TextChunk]) -> bool:
        """Append the events' chunks to *chunks*; return whether ``[DONE]`` came. Plain events may come as their data alone.

        Raises:
            InferenceKeyError: as ``take`` does; the chunks of the events before are in *chunks*.
        """
        texts = self._texts
        head, tail, start, end, size = self._pattern
        for event in events:
            kind = "message"
            if isinstance(event, bytes):
                # The chunk that nearly all chunks are, written out here because it is what streaming costs.
                if (
                    event.startswith(head)
                    and event.endswith(tail)
                    and len(event) > size
                    and not not_plain(plain := event[start:end])
                ):
                    try:
                        text = plain.decode()
                    except UnicodeDecodeError:
                        pass  # said below, as of every chunk that is no JSON
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
            if (found := _only_text(raw)) is None:
                chunks.append(self._chunk(event, raw))
                continue
            # The parsed chunk is let go at once: some hundreds of them, alive together, keep the garbage collector busy.
            texts.append(found)
            chunks.append(text_chunk(found, event))
            self._raw = event
            if self._model is None:
                self._model = jsonval.text_or_none(raw.get("model"))
            # Chunks that are all different are not looked at in vain for ever.
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
        """Return what an event holds, or ``None`` for ``[DONE]``."""
        try:
            raw = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            if data.strip() == b"[DONE]":
                self.done = True
                return None
            if kind == "error":
                raise self._failed(data.decode("utf-8", "replace")) from None
            raise ResponseFormatError.of(
                f"an event of the stream is not JSON ({error}): {jsonval.preview(data)}",
                request_id=self._request_id,
            ) from None
        if kind == "error":
            raise self._failed(raw)
        if not isinstance(raw, dict):
            raise ResponseFormatError.of(
                f"an event of the stream is not a JSON object: {jsonval.preview(data)}",
                request_id=self._request_id,
            )
        return cast("dict[str, Any]", raw)

    def _chunk(self, data: bytes, chunk: dict[str, Any]) -> TextChunk:
        if "error" in chunk and _says_error(chunk):
            raise self._failed(chunk)
        self._raw = chunk
        if self._model is None:
            self._model = jsonval.text_or_none(chunk.get("model"))
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        if not choices:
            if "choices" not in chunk and _is_error(chunk):
                raise self._failed(chunk)
            return TextChunk("", None, chunk)
        try:
            choice = choices[0]
            delta = choice.get("delta")
            text = (delta.get("content") if delta else None) or ""
            reason = choice.get("finish_reason")
        except (AttributeError, KeyError, TypeError, IndexError):
            raise ResponseFormatError.of(
                f"an event's choices are not those of a chat chunk: {jsonval.preview(data)}",
                request_id=self._request_id,
            ) from None
        if not isinstance(text, str) or not (reason is None or isinstance(reason, str)):
            raise ResponseFormatError.of(
                f"choices[0].delta.content or finish_reason is not a string: {jsonval.preview(data)}",
                request_id=self._request_id,
            )
        if text:
            self._texts.append(text)
        if reason:
            self._finish_reason = reason
            if reason in FAILED:
                raise _gave_up(self.result())
        return TextChunk(text, reason or None, chunk)

    def end(
        self, unfinished: Event | None, cause: str = "the server closed the connection"
    ) -> None:
        """Say that the bytes have ended, with what was left of an event.

        Raises:
            StreamInterrupted: neither ``[DONE]`` nor a ``finish_reason`` had been seen.
        """
        if unfinished is not None and unfinished.data.strip() == b"[DONE]":
            self.done = True
        if self.complete or (self._allow_bare_end and unfinished is None):
            return
        raise self.interrupted(
            cause + (" in the middle of an event" if unfinished is not None else "")
        )

    def interrupted(self, cause: str) -> StreamInterrupted:
        """Return the error for a stream that stops here."""
        result = self.result()
        return StreamInterrupted.of(
            f"the stream ended before it was complete ({cause}); "
            f"{len(result.text)} characters had arrived, see .partial_text",
            partial_text=result.text,
            result=result,
            request_id=self._request_id,
        )

    def result(self) -> TextResult:
        """Return what has been built so far."""
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


def _gave_up(result: TextResult) -> GenerationFailed:
    return GenerationFailed.of(
        f"the engine gave up (finish_reason {result.finish_reason!r}); "
        f"{len(result.text)} characters had arrived, see .partial_text",
        partial_text=result.text,
        result=result,
        code=result.finish_reason,
        request_id=result.request_id,
    )


def _says_error(answer: Mapping[str, Any]) -> bool:
    error = answer.get("error")
    # Chunks may carry an empty "error"; one that carries nothing else is an error without words.
    return bool(error) or (error is not None and error is not False and not answer.get("choices"))


def _only_text(chunk: dict[str, Any]) -> str | None:
    """Return the text of a chunk that says nothing else; ``None`` for whatever needs a closer look."""
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


def _is_error(event: Mapping[str, Any]) -> bool:
    """Whether an event that is no chunk is an error without the word ``error`` around it, as some engines send."""
    return (
        event.get("object") == "error"
        or bool(event.get("detail"))
        or isinstance(event.get("message"), str)
    )


def _first(choices: Any) -> Mapping[str, Any] | None:
    if isinstance(choices, list) and choices:
        return jsonval.as_mapping(cast("list[Any]", choices)[0])
    return None
