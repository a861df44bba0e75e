"""The data plane: calling workloads."""

from __future__ import annotations

import ssl as ssl_module
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from inferencekey import config
from inferencekey._async.streams import AsyncTextStream
from inferencekey._core.data import chat, vectors
from inferencekey._core.deadlines import for_stream, for_unary
from inferencekey._core.json import dumps
from inferencekey._core.slugs import checked_project, checked_slug
from inferencekey._http.credential import Credential
from inferencekey._http.responses import ByteStream
from inferencekey._http.sessions import SessionFactory
from inferencekey._http.transport import Answer, Transport, idempotency_key
from inferencekey.errors import ConfigurationError, InferenceKeyError
from inferencekey.models import EmbeddingResult, RerankResult, RetryPolicy, TextResult, Timeouts

__all__ = ["AsyncDataClient", "AsyncEndpoint"]


class AsyncDataClient:
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
        session_factory: makes the aiohttp sessions, once per event loop; *ssl* is then the factory's business.

    Raises:
        ConfigurationError: the base URL is not one.
        ValidationError: a header or the project cannot be sent.
    """

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
        self._project = config.setting(project, "", {})
        self._api_key = (
            None if api_key is None or not api_key.strip() else Credential(api_key.strip())
        )
        self._transport = Transport(
            base_url=config.base_url(base_url, {}),
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
        return cls(
            base_url=config.base_url(base_url),
            project=config.setting(project, config.PROJECT_VARIABLE),
            api_key=config.setting(api_key, config.API_KEY_VARIABLE),
            timeout=timeout,
            retry=retry,
            headers=headers,
            proxy=proxy,
            ssl=ssl,
            session_factory=session_factory,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, project={self.project!r})"

    @property
    def base_url(self) -> str:
        """The platform's URL, without a trailing slash."""
        return self._transport.base_url

    @property
    def project(self) -> str | None:
        """The project whose workloads are called."""
        return self._project

    def endpoint(self, slug: str, *, api_key: str | None = None) -> AsyncEndpoint:
        """Return the endpoint of one workload. No request is made.

        Args:
            slug: the workload's slug, in any form; it is canonicalised.
            api_key: the key for this workload, instead of the client's.

        Raises:
            ConfigurationError: there is no project, or no key.
            PermissionDenied: the key is an ``ik_sdk_`` token (``wrong_credential_type``).
            ValidationError: nothing is left of the slug, or the project cannot stand in a path.
        """
        workload = checked_slug(slug)
        if self._project is None:
            raise ConfigurationError(
                "No project configured. Set INFERENCEKEY_PROJECT or pass project=."
            )
        given = config.setting(api_key, "", {}) or (
            None if self._api_key is None else self._api_key.reveal()
        )
        key = config.check_data_key(given, workload)
        return AsyncEndpoint(
            self._transport, checked_project(self._project), workload, Credential(key)
        )

    async def aclose(self) -> None:
        """Close the connections. Open streams end."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncEndpoint:
    """One workload, ready to be called. Made by :meth:`AsyncDataClient.endpoint`."""

    def __init__(
        self, transport: Transport, project: str, workload: str, credential: Credential
    ) -> None:
        self._transport = transport
        self._project = project
        self._workload = workload
        self._credential = credential
        self._path = f"/endpoint/{quote(project, safe='')}/{workload}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project_slug!r}, {self.workload_slug!r})"

    @property
    def project_slug(self) -> str:
        """The project the workload lives in."""
        return self._project

    @property
    def workload_slug(self) -> str:
        """The workload's canonical slug."""
        return self._workload

    async def generate_text(
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
        body = chat.chat_body(
            model=self._workload,
            prompt=prompt,
            messages=messages,
            temperature=temperature,
            max_tokens=max_tokens,
            top_p=top_p,
            stop=stop,
            seed=seed,
            extra_body=extra_body,
        )
        answer = await self._post("/v1/chat/completions", body, timeout)
        with self._reading(answer):
            return chat.text_result(answer.body, request_id=answer.request_id)

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
    ) -> AsyncTextStream:
        """Generate a text and stream it, one :class:`TextChunk` per event. The arguments are those of ``generate_text``.

        ``async for`` reads it; ``async with`` also closes it at the end of the block; ``await`` opens it now, so that
        what the server refuses raises here and not in the loop. A number for *timeout* limits each wait, never the whole.

        Args:
            strict_end: an end without ``[DONE]`` and without a ``finish_reason`` is an interruption. ``False`` accepts it,
                for engines that are known to send neither; a cut connection or half an event is an interruption still.

        Raises:
            ValidationError: an argument is wrong.
            InferenceKeyError: on opening and reading, as for ``generate_text`` and :class:`AsyncTextStream`.
        """
        body = dumps(
            chat.chat_body(
                model=self._workload,
                prompt=prompt,
                messages=messages,
                temperature=temperature,
                max_tokens=max_tokens,
                top_p=top_p,
                stop=stop,
                seed=seed,
                extra_body=extra_body,
                stream=True,
            )
        )
        timeouts = for_stream(timeout, self._transport.timeout)

        async def connect() -> ByteStream:
            return await self._transport.stream(
                "POST",
                self._path + "/v1/chat/completions",
                self._credential,
                timeouts,
                body=body,
                key=idempotency_key(),
            )

        return AsyncTextStream(
            connect, self._credential.scrub, keepalive=timeouts.keepalive, strict_end=strict_end
        )

    async def embed(
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
        body = vectors.embed_body(self._workload, input)
        answer = await self._post("/v1/embeddings", {**body, **(extra_body or {})}, timeout)
        count = 1 if isinstance(input, str) else len(input)
        with self._reading(answer):
            return vectors.embedding_result(answer.body, count, request_id=answer.request_id)

    async def rerank(
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
        body = vectors.rerank_body(self._workload, query, documents, top_n)
        answer = await self._post("/v1/rerank", {**body, **(extra_body or {})}, timeout)
        with self._reading(answer):
            return vectors.rerank_result(answer.body, len(documents), request_id=answer.request_id)

    @contextmanager
    def _reading(self, answer: Answer) -> Generator[None]:
        try:
            yield
        except InferenceKeyError as error:
            answer.tell(error)
            self._credential.scrub(error)
            raise

    async def _post(
        self, path: str, body: Mapping[str, Any], timeout: Timeouts | float | None
    ) -> Answer:
        return await self._transport.request(
            "POST",
            self._path + path,
            self._credential,
            for_unary(timeout, self._transport.timeout),
            body=dumps(body),
            key=idempotency_key(),
        )
