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
        body, timeout = self._chat_request(
            self.generate_text, options, prompt, messages, temperature, max_tokens, stream=False
        )
        response = await self._post(PATH, body, timeout=timeout)
        return self._result(response, text_result, request_id=response.request_id)

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
        """Return the body of a request, and the call's timeout."""
        check_options(options, TextOptions.__optional_keys__, method)
        timeout = options.pop("timeout", None)
        # Every other option is a field of the body, so that a new one needs no line here.
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
