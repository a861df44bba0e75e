"""The results of calls on the data plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import orjson

__all__ = [
    "EmbeddingResult",
    "RerankItem",
    "RerankResult",
    "TextChoice",
    "TextChunk",
    "TextResult",
    "Usage",
]


def _shape(vectors: list[list[float]]) -> str:
    return f"<{len(vectors)} of {len(vectors[0]) if vectors else 0} floats>"


@attrs.frozen
class Usage:
    """The engine's counts of tokens; ``None`` for a count that it did not send."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


@attrs.frozen
class TextChoice:
    """One more text of a request that asked for several (``n`` above 1).

    Args:
        index: the choice's index, at least 1.
        text: its text.
        finish_reason: ``"stop"``, ``"length"``, …; ``None`` if the engine has not sent it.
    """

    index: int
    text: str
    finish_reason: str | None = None


@attrs.frozen
class TextResult:
    """A generated text.

    Args:
        text: the content of the choice with index 0, or its joined chunks of a stream.
        model: the model that served the request, as the engine names it.
        finish_reason: ``"stop"``, ``"length"``, …; ``None`` while a stream is not complete.
        usage: the counts of tokens, if the engine has sent them.
        raw: the unchanged body; for a stream, its last event.
        request_id: the response's ``x-request-id``.
        choices: the other texts of a request that asked for several, by their index.
    """

    text: str
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    raw: Any = attrs.field(default=None, repr=False)
    request_id: str | None = None
    choices: tuple[TextChoice, ...] = ()


class _ParsedLater:
    """A ``raw`` that is parsed when it is first read, because most readers of a stream never do."""

    __slots__ = ("_data",)

    def __getattr__(self, name: str) -> Any:
        # Python calls this for an empty slot, and for every name that does not exist.
        if name != "raw":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raw = orjson.loads(self._data)
        object.__setattr__(self, "raw", raw)
        return raw


@attrs.frozen
class TextChunk(_ParsedLater):
    """One event of a stream.

    Args:
        text: the text of the choice with index 0, or ``""``.
        finish_reason: why that choice has ended; ``None`` on every other chunk.
        raw: the event's unchanged JSON.
    """

    text: str
    finish_reason: str | None = None
    raw: Any = attrs.field(default=None, repr=False)


_new = object.__new__
_set_text = vars(TextChunk)["text"].__set__
_set_finish_reason = vars(TextChunk)["finish_reason"].__set__
_set_data = vars(_ParsedLater)["_data"].__set__


def text_chunk(text: str, data: bytes) -> TextChunk:
    """Return ``TextChunk(text, None, loads(data))``, parsed when ``raw`` is first read.

    The slots are set directly, which takes half as long as the ``__init__`` of a frozen class.
    """
    chunk = _new(TextChunk)
    _set_text(chunk, text)
    _set_finish_reason(chunk, None)
    _set_data(chunk, data)
    return chunk


@attrs.frozen
class EmbeddingResult:
    """Vectors, one per input, in input order.

    Args:
        embeddings: one list of floats per input.
        model: the model that served the request.
        usage: the counts of tokens, if the engine has sent them.
        raw: the unchanged body.
        request_id: the response's ``x-request-id``.
    """

    embeddings: list[list[float]] = attrs.field(repr=_shape)
    model: str | None = None
    usage: Usage | None = None
    raw: Any = attrs.field(default=None, repr=False)
    request_id: str | None = None


@attrs.frozen
class RerankItem:
    """One document's score.

    Args:
        index: position of the document in the request.
        relevance_score: higher is more relevant; the scale is the model's.
    """

    index: int
    relevance_score: float


@attrs.frozen
class RerankResult:
    """Documents by relevance, as the server ordered them.

    Args:
        results: one item per returned document.
        model: the model that served the request, if the server sends it.
        usage: the counts of tokens, if the engine has sent them.
        raw: the unchanged body.
        request_id: the response's ``x-request-id``.
    """

    results: Sequence[RerankItem]
    model: str | None = None
    usage: Usage | None = None
    raw: Any = attrs.field(default=None, repr=False)
    request_id: str | None = None
