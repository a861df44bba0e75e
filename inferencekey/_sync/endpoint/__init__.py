# Generated from inferencekey/_async/endpoint/__init__.py by inferencekey/_codegen/generate.py.
"""The sync classes of ``inferencekey/_async/endpoint/__init__.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from inferencekey._async.endpoint import AsyncEndpoint
from inferencekey._async.endpoint.options import CallOptions, TextOptions
from inferencekey._bridge import run
from inferencekey._sync.streams import TextStream
from inferencekey.models import EmbeddingResult, RerankResult, TextResult

__all__ = ["Endpoint"]


class Endpoint:
    """Calls one workload. :meth:`DataClient.endpoint` makes it."""

    _async: AsyncEndpoint

    def __init__(self, wrapped: AsyncEndpoint) -> None:
        self._async = wrapped

    def generate_text(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Unpack[TextOptions],
    ) -> TextResult:
        """Generate a text and return it whole.

        Give exactly one of *prompt* and *messages*. An argument that is left out is not sent.

        Args:
            prompt: one message of the user.
            messages: the conversation, as ``{"role": …, "content": …}``.
            temperature: how random the text is; 0 is deterministic. The default is the engine's.
            max_tokens: the longest text, in tokens.
            options: ``top_p``, ``stop``, ``seed``, ``extra_body`` and ``timeout``, as
                :class:`TextOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: an argument is wrong, or the response is 400 or 422.
            AuthError: the response is 401.
            PermissionDenied: the response is 403.
            NotFoundError: the response is 404.
            RateLimitError: the response is 429.
            ServerError: the response is 5xx.
            GenerationFailed: the engine reported an error instead of a text.
            TransportError: there was no response.
            RequestTimeout: there was no response in time.
            ResponseFormatError: the response does not have the form that the contract defines.
        """
        return run(
            self._async.generate_text,
            prompt,
            messages=messages,
            temperature=temperature,
            max_tokens=max_tokens,
            **options,
        )

    def generate_text_stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        strict_end: bool = True,
        **options: Unpack[TextOptions],
    ) -> TextStream:
        """Generate a text and stream it, one :class:`TextChunk` per event.

        The arguments are those of ``generate_text``. A number for *timeout* limits each wait, never
        the whole.

        ``for`` reads the stream. ``with`` also closes it at the end of the block.
        It is open when the call returns. What the server refuses raises when the stream opens.

        Args:
            prompt: one message of the user.
            messages: the conversation, as ``{"role": …, "content": …}``.
            temperature: how random the text is; 0 is deterministic. The default is the engine's.
            max_tokens: the longest text, in tokens.
            strict_end: whether an end without ``[DONE]`` and without a ``finish_reason`` is an
                interruption. Pass ``False`` for an engine that sends neither. A cut connection and
                an incomplete event are interruptions in any case.
            options: ``top_p``, ``stop``, ``seed``, ``extra_body`` and ``timeout``, as
                :class:`TextOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: an argument is wrong.
            InferenceKeyError: on opening, as for ``generate_text``; on reading, as for
                :class:`TextStream`.
        """
        return TextStream(
            self._async.generate_text_stream(
                prompt,
                messages=messages,
                temperature=temperature,
                max_tokens=max_tokens,
                strict_end=strict_end,
                **options,
            )
        )

    def embed(self, input: str | Sequence[str], **options: Unpack[CallOptions]) -> EmbeddingResult:
        """Turn texts into vectors, one per input, in input order.

        Args:
            input: one text, or a list of texts.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: an input is blank or missing, or the response is 400 or 422.
            ResponseFormatError: the response does not have exactly one vector per input.
            InferenceKeyError: as for ``generate_text``.
        """
        return run(self._async.embed, input, **options)

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> RerankResult:
        """Score documents by their relevance to a query.

        Args:
            query: the question that the documents are scored for.
            documents: the texts to score.
            top_n: return only the best *top_n* documents.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: an option is not known.
            ValidationError: a text is blank or missing, or the response is 400 or 422.
            ResponseFormatError: a result has no score, or no index of a document.
            InferenceKeyError: as for ``generate_text``.
        """
        return run(self._async.rerank, query, documents, top_n=top_n, **options)

    def __repr__(self) -> str:
        return repr(self._async).replace("Async", "", 1)

    @property
    def project_slug(self) -> str:
        """The project the workload lives in."""
        return self._async.project_slug

    @property
    def workload_slug(self) -> str:
        """The workload's canonical slug."""
        return self._async.workload_slug
