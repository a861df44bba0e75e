# Generated from inferencekey/_async/endpoint/__init__.py by inferencekey/_codegen/generate.py.
"""Calling one workload: one class per modality, each in a file of its own, joined here.

A further modality is a file here with a class over ``BaseEndpoint``, that class among the bases of
``Endpoint``, and a file in ``_core/data`` that makes its bodies and reads its responses.
"""

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
    """One workload, ready to be called. Made by :meth:`DataClient.endpoint`."""

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

        Give exactly one of *prompt* and *messages*. What is left out is not sent.

        Args:
            prompt: one user turn.
            messages: the conversation, as ``{"role": …, "content": …}``.
            temperature: 0 is deterministic; the engine's default otherwise.
            max_tokens: the longest answer, in tokens.
            options: ``top_p``, ``stop``, ``seed``, ``extra_body`` and ``timeout``, as
                :class:`TextOptions` documents them.

        Raises:
            TypeError: there is no such option.
            ValidationError: an argument is wrong, or the server answered 400 or 422.
            AuthError: the server answered 401.
            PermissionDenied: 403.
            NotFoundError: 404.
            RateLimitError: 429.
            ServerError: 5xx.
            GenerationFailed: the engine gave up.
            TransportError: there was no response.
            RequestTimeout: there was none in time.
            ResponseFormatError: the response is not what the contract says.
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
            prompt: one user turn.
            messages: the conversation, as ``{"role": …, "content": …}``.
            temperature: 0 is deterministic; the engine's default otherwise.
            max_tokens: the longest answer, in tokens.
            strict_end: an end without ``[DONE]`` and without a ``finish_reason`` is an interruption.
                ``False`` accepts it, for engines that are known to send neither; a cut connection or
                half an event is an interruption still.
            options: ``top_p``, ``stop``, ``seed``, ``extra_body`` and ``timeout``, as
                :class:`TextOptions` documents them.

        Raises:
            TypeError: there is no such option.
            ValidationError: an argument is wrong.
            InferenceKeyError: on opening and reading, as for ``generate_text`` and
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
            input: one text or several.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: there is no such option.
            ValidationError: an input is blank or missing, or the server answered 400 or 422.
            ResponseFormatError: the response is not one vector per input.
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
            query: what is looked for.
            documents: the texts to score.
            top_n: return only so many, the best.
            options: ``extra_body`` and ``timeout``, as :class:`CallOptions` documents them.

        Raises:
            TypeError: there is no such option.
            ValidationError: a text is blank or missing, or the server answered 400 or 422.
            ResponseFormatError: the response has no score or index.
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
