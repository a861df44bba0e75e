"""Generating text, whole and streamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Unpack, cast

from inferencekey._async.endpoint.base import BaseEndpoint
from inferencekey._async.endpoint.options import TextOptions, check_options
from inferencekey._async.streams import AsyncTextStream
from inferencekey._core.data.chat_request import chat_body
from inferencekey._core.data.chat_response import text_result
from inferencekey._core.deadlines import for_stream
from inferencekey.models import TextResult, Timeouts

__all__ = ["TextEndpoint"]

PATH: Final = "/v1/chat/completions"


class TextEndpoint(BaseEndpoint):
    """The calls of a workload that generates text."""

    async def generate_text(
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
        body, timeout = self._chat_request(
            self.generate_text, options, prompt, messages, temperature, max_tokens, stream=False
        )
        answer = await self._post(PATH, body, timeout=timeout)
        return self._result(answer, text_result, request_id=answer.request_id)

    def generate_text_stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        strict_end: bool = True,
        **options: Unpack[TextOptions],
    ) -> AsyncTextStream:
        """Generate a text and stream it, one :class:`TextChunk` per event.

        The arguments are those of ``generate_text``. A number for *timeout* limits each wait, never
        the whole.

        ``async for`` reads the stream. ``async with`` also closes it at the end of the block.
        ``await`` opens it without reading. What the server refuses raises when the stream opens.

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
                :class:`AsyncTextStream`.
        """
        body, timeout = self._chat_request(
            self.generate_text_stream,
            options,
            prompt,
            messages,
            temperature,
            max_tokens,
            stream=True,
        )
        timeouts = for_stream(timeout, self._transport.timeout)
        return AsyncTextStream(
            self._connector(PATH, body, timeouts),
            self._credential.scrub,
            keepalive=timeouts.keepalive,
            strict_end=strict_end,
        )

    def _chat_request(
        self,
        method: Callable[..., object],
        options: TextOptions,
        prompt: str | None,
        messages: Sequence[Mapping[str, Any]] | None,
        temperature: float | None,
        max_tokens: int | None,
        *,
        stream: bool,
    ) -> tuple[dict[str, Any], Timeouts | float | None]:
        """Return the body of a call, and its timeout."""
        check_options(options, TextOptions.__optional_keys__, method)
        timeout = options.pop("timeout", None)
        # Every other option is a field of the body: what is added to TextOptions needs no line here.
        fields = cast("dict[str, Any]", options)
        body = chat_body(
            model=self._workload,
            prompt=prompt,
            messages=messages,
            temperature=temperature,
            max_tokens=max_tokens,
            stream=stream,
            **fields,
        )
        return body, timeout
