"""The ``openai`` package: async over its default transport and over aiohttp, and sync."""

from __future__ import annotations

import importlib
import time
from typing import Any

from benchmarks.wire import KEY, MAX_TOKENS, PROJECT, PROMPT, TEXTS

openai: Any = importlib.import_module("openai")
MESSAGES: Any = [{"role": "user", "content": PROMPT}]


def _base(url: str, slug: str) -> str:
    return f"{url}/endpoint/{PROJECT}/{slug}/v1"


class OpenAIAsync:
    """``AsyncOpenAI``. One for each workload, as its base URL names it, all on one HTTP client."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = self._make_http()
        self._clients: dict[str, Any] = {}

    def _make_http(self) -> Any:
        return openai.DefaultAsyncHttpxClient()

    def _client(self, slug: str) -> Any:
        client = self._clients.get(slug)
        if client is None:
            client = openai.AsyncOpenAI(
                base_url=_base(self._url, slug), api_key=KEY, http_client=self._http
            )
            self._clients[slug] = client
        return client

    async def unary(self) -> str:
        answer = await self._client("unary").chat.completions.create(
            model="unary", messages=MESSAGES, max_tokens=MAX_TOKENS
        )
        return answer.choices[0].message.content or ""

    async def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        async for chunk in await self._stream(slug):
            texts.append(chunk.choices[0].delta.content or "")
        return texts

    async def _stream(self, slug: str) -> Any:
        return await self._client(slug).chat.completions.create(
            model=slug, messages=MESSAGES, max_tokens=MAX_TOKENS, stream=True
        )

    async def first(self) -> float:
        first = 0.0
        async for _ in await self._stream("short"):
            first = first or time.perf_counter()
        return first

    async def embed(self) -> list[list[float]]:
        # By itself it asks for base64, which this server, like many engines, does not speak.
        answer = await self._client("embed").embeddings.create(
            model="embed", input=TEXTS, encoding_format="float"
        )
        return [item.embedding for item in answer.data]

    async def close(self) -> None:
        await self._http.aclose()


class OpenAIAiohttp(OpenAIAsync):
    """``AsyncOpenAI`` over aiohttp, as its documentation recommends for concurrency."""

    def _make_http(self) -> Any:
        return openai.DefaultAioHttpClient()


class OpenAISync:
    """``OpenAI``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http: Any = openai.DefaultHttpxClient()
        self._clients: dict[str, Any] = {}

    def _client(self, slug: str) -> Any:
        client = self._clients.get(slug)
        if client is None:
            made = openai.OpenAI(
                base_url=_base(self._url, slug), api_key=KEY, http_client=self._http
            )
            client = self._clients.setdefault(slug, made)
        return client

    def unary(self) -> str:
        answer = self._client("unary").chat.completions.create(
            model="unary", messages=MESSAGES, max_tokens=MAX_TOKENS
        )
        return answer.choices[0].message.content or ""

    def stream(self, slug: str) -> list[str]:
        return [chunk.choices[0].delta.content or "" for chunk in self._stream(slug)]

    def _stream(self, slug: str) -> Any:
        return self._client(slug).chat.completions.create(
            model=slug, messages=MESSAGES, max_tokens=MAX_TOKENS, stream=True
        )

    def first(self) -> float:
        first = 0.0
        for _ in self._stream("short"):
            first = first or time.perf_counter()
        return first

    def embed(self) -> list[list[float]]:
        answer = self._client("embed").embeddings.create(
            model="embed", input=TEXTS, encoding_format="float"
        )
        return [item.embedding for item in answer.data]

    def close(self) -> None:
        self._http.close()
