"""The ``openai`` package: async over its default transport and over aiohttp, and sync."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.clients.peer import MESSAGES, AsyncPeer, SyncPeer
from benchmarks.wire import KEY, MAX_TOKENS, TEXTS

openai: Any = importlib.import_module("openai")

# The package requests base64 by default, which this server, like many engines, does not support.
EMBED: dict[str, Any] = {"model": "embed", "input": TEXTS, "encoding_format": "float"}


class OpenAIAsync(AsyncPeer):
    """``AsyncOpenAI``. All clients share one HTTP client."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._http = self._make_http()

    def _make_http(self) -> Any:
        return openai.DefaultAsyncHttpxClient()

    def _make_client(self, base_url: str) -> Any:
        return openai.AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=self._http)

    async def _complete(self, slug: str, **options: Any) -> Any:
        return await self._client(slug).chat.completions.create(
            model=slug, messages=MESSAGES, max_tokens=MAX_TOKENS, **options
        )

    async def embed(self) -> list[list[float]]:
        response = await self._client("embed").embeddings.create(**EMBED)
        return [item.embedding for item in response.data]

    async def close(self) -> None:
        await self._http.aclose()


class OpenAIAiohttp(OpenAIAsync):
    """``AsyncOpenAI`` over aiohttp, as its documentation recommends for concurrency."""

    def _make_http(self) -> Any:
        return openai.DefaultAioHttpClient()


class OpenAISync(SyncPeer):
    """``OpenAI``. All clients share one HTTP client."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._http: Any = openai.DefaultHttpxClient()

    def _make_client(self, base_url: str) -> Any:
        return openai.OpenAI(base_url=base_url, api_key=KEY, http_client=self._http)

    def _complete(self, slug: str, **options: Any) -> Any:
        return self._client(slug).chat.completions.create(
            model=slug, messages=MESSAGES, max_tokens=MAX_TOKENS, **options
        )

    def embed(self) -> list[list[float]]:
        response = self._client("embed").embeddings.create(**EMBED)
        return [item.embedding for item in response.data]

    def close(self) -> None:
        self._http.close()
