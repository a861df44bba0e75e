# Generated from inferencekey/_async/data.py by inferencekey/_codegen/generate.py: edit the source, then run it.
"""The data plane: calling workloads."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from inferencekey import config
from inferencekey._async.data import AsyncDataClient, AsyncEndpoint
from inferencekey._bridge import run
from inferencekey._http.sessions import SessionFactory
from inferencekey._sync.streams import TextStream
from inferencekey.models import EmbeddingResult, RerankResult, RetryPolicy, TextResult, Timeouts

__all__ = ["DataClient", "Endpoint"]


class DataClient:
    """Calls workloads with ``ik_live_`` keys. One client serves a whole process; make it once and share it.

    Args:
        base_url: the platform's URL, ``https://api.inferencekey.com`` by default.
        project: the project whose workloads are called.
        api_key: the key for endpoints that are not given their own.
        timeout: deadlines: a :class:`Timeouts`, or seconds (the total of a unary call, each wait of a stream).
        retry: when a failed request is sent again; ``None`` for never.
        headers: sent with every request.
        proxy: an http proxy's URL; by default the environment's, ``""`` for none. Loopback is never proxied.
        ssl: a context with a custom CA or a client certificate; ``True`` for the system's CAs; ``False`` verifies nothing.
        session_factory: makes the aiohttp sessions, on the SDK's own event loop; *ssl* is then the factory's business.

    Raises:
        ConfigurationError: the base URL is not one.
        ValidationError: a header or the project cannot be sent.
    """

    _async: AsyncDataClient

    def __init__(
        self,
        *,
        base_url: str = config.DEFAULT_BASE_URL,
        project: str | None = None,
        api_key: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> None:
        self._async = AsyncDataClient(
            base_url=base_url,
            project=project,
            api_key=api_key,
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    @classmethod
    def from_env(
        cls,
        *,
        base_url: str | None = None,
        project: str | None = None,
        api_key: str | None = None,
        timeout: Timeouts | float | None = None,
        retry: RetryPolicy | None = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool = True,
        session_factory: SessionFactory | None = None,
    ) -> Self:
        """Make a client from ``INFERENCEKEY_BASE_URL``, ``INFERENCEKEY_PROJECT`` and ``INFERENCEKEY_API_KEY``.

        An explicit argument beats its variable; a blank variable counts as absent. The arguments are the constructor's.
        """
        made = cls.__new__(cls)
        made._async = AsyncDataClient.from_env(
            base_url=base_url,
            project=project,
            api_key=api_key,
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )
        return made

    def __repr__(self) -> str:
        return repr(self._async).replace("Async", "", 1)

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._async.base_url

    @property
    def project(self) -> str | None:
        """The project whose workloads are called."""
        return self._async.project

    def endpoint(self, slug: str, *, api_key: str | None = None) -> Endpoint:
        """Return the endpoint of one workload. No request is made.

        Args:
            slug: the workload's slug, in any form; it is canonicalised.
            api_key: the key for this workload, instead of the client's.

        Raises:
            ConfigurationError: there is no project, or no key.
            PermissionDenied: the key is an ``ik_sdk_`` token (``wrong_credential_type``).
            ValidationError: nothing is left of the slug, or the project cannot stand in a path.
        """
        return Endpoint(self._async.endpoint(slug, api_key=api_key))

    def close(self) -> None:
        """Close the connections. Open streams end."""
        run(self._async.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Endpoint:
    """One workload, ready to be called. Made by :meth:`DataClient.endpoint`."""

    _async: AsyncEndpoint

    def __init__(self, endpoint: AsyncEndpoint) -> None:
        self._async = endpoint

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

    def generate_text(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeouts | float | None = None,
    ) -> TextResult:
        """Generate a text and return it whole. Give exactly one of *prompt* and *messages*; what is left out is not sent.

        Args:
            prompt: one user turn.
            messages: the conversation, as ``{"role": …, "content": …}``.
            temperature: 0 is deterministic; the engine's default otherwise.
            max_tokens: the longest answer, in tokens.
            top_p: nucleus sampling, 0 to 1.
            stop: a text, or several, at which the answer ends.
            seed: for the same answer again.
            extra_body: more fields for the engine, over the ones above.
            timeout: deadlines of this call: a :class:`Timeouts`, or seconds for the whole.

        Raises:
            ValidationError: an argument is wrong, or the server answered 400 or 422.
            AuthError: the server answered 401.
            PermissionDenied: 403.
            NotFoundError: 404.
            RateLimitError: 429.
            ServerError: 5xx.
            GenerationFailed: the engine gave up.
            TransportError: there was no answer.
            RequestTimeout: there was none in time.
            ResponseFormatError: the answer is not what the contract says.
        """
        return run(
            self._async.generate_text,
            prompt,
            messages=messages,
            temperature=temperature,
            max_tokens=max_tokens,
            top_p=top_p,
            stop=stop,
            seed=seed,
            extra_body=extra_body,
            timeout=timeout,
        )

    def generate_text_stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeouts | float | None = None,
        strict_end: bool = True,
    ) -> TextStream:
        """Generate a text and stream it, one :class:`TextChunk` per event. The arguments are those of ``generate_text``.

        ``for`` reads it; ``with`` also closes it at the end of the block; it is open when this returns:
        what the server refuses raises here and not in the loop. A number for *timeout* limits each wait, never the whole.

        Args:
            strict_end: an end without ``[DONE]`` and without a ``finish_reason`` is an interruption. ``False`` accepts it,
                for engines that are known to send neither; a cut connection or half an event is an interruption still.

        Raises:
            ValidationError: an argument is wrong.
            InferenceKeyError: on opening and reading, as for ``generate_text`` and :class:`TextStream`.
        """
        return TextStream(
            self._async.generate_text_stream(
                prompt,
                messages=messages,
                temperature=temperature,
                max_tokens=max_tokens,
                top_p=top_p,
                stop=stop,
                seed=seed,
                extra_body=extra_body,
                timeout=timeout,
                strict_end=strict_end,
            )
        )

    def embed(
        self,
        input: str | Sequence[str],
        *,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeouts | float | None = None,
    ) -> EmbeddingResult:
        """Turn texts into vectors, one per input, in input order.

        Args:
            input: one text or several.
            extra_body: more fields for the engine.
            timeout: deadlines of this call: a :class:`Timeouts`, or seconds for the whole.

        Raises:
            ValidationError: an input is blank or missing, or the server answered 400 or 422.
            ResponseFormatError: the answer is not one vector per input.
            InferenceKeyError: as for ``generate_text``.
        """
        return run(self._async.embed, input, extra_body=extra_body, timeout=timeout)

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_n: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeouts | float | None = None,
    ) -> RerankResult:
        """Score documents by their relevance to a query.

        Args:
            query: what is looked for.
            documents: the texts to score.
            top_n: return only so many, the best.
            extra_body: more fields for the engine.
            timeout: deadlines of this call: a :class:`Timeouts`, or seconds for the whole.

        Raises:
            ValidationError: a text is blank or missing, or the server answered 400 or 422.
            ResponseFormatError: the answer has no score or index.
            InferenceKeyError: as for ``generate_text``.
        """
        return run(
            self._async.rerank,
            query,
            documents,
            top_n=top_n,
            extra_body=extra_body,
            timeout=timeout,
        )
