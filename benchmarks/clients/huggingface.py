"""``huggingface_hub``: its inference clients. Their embeddings do not speak the contract's."""

from __future__ import annotations

import importlib
import time
from typing import Any

from benchmarks.wire import KEY, MAX_TOKENS, PROJECT, PROMPT

huggingface_hub: Any = importlib.import_module("huggingface_hub")
MESSAGES: Any = [{"role": "user", "content": PROMPT}]


def _base(url: str, slug: str) -> str:
    return f"{url}/endpoint/{PROJECT}/{slug}/v1"


class HuggingFaceAsync:
    """``AsyncInferenceClient``, one for each workload."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[str, Any] = {}

    def _client(self, slug: str) -> Any:
        client = self._clients.get(slug)
        if client is None:
            client = huggingface_hub.AsyncInferenceClient(
                base_url=_base(self._url, slug), api_key=KEY
            )
            self._clients[slug] = client
        return client

    async def unary(self) -> str:
        answer = await self._client("unary").chat_completion(MESSAGES, max_tokens=MAX_TOKENS)
        return answer.choices[0].message.content or ""

    async def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        async for chunk in await self._stream(slug):
            texts.append(chunk.choices[0].delta.content or "")
        return texts

    async def _stream(self, slug: str) -> Any:
        return await self._client(slug).chat_completion(
            MESSAGES, max_tokens=MAX_TOKENS, stream=True
        )

    async def first(self) -> float:
        first = 0.0
        async for _ in await self._stream("short"):
            first = first or time.perf_counter()
        return first

    async def embed(self) -> list[list[float]]:
        raise NotImplementedError

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


class HuggingFaceSync:
    """``InferenceClient``, one for each workload."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[str, Any] = {}

    def _client(self, slug: str) -> Any:
        client = self._clients.get(slug)
        if client is None:
            # Of several threads that come here at once, all use the first one's: one that is dropped closes itself.
            made = huggingface_hub.InferenceClient(base_url=_base(self._url, slug), api_key=KEY)
            client = self._clients.setdefault(slug, made)
        return client

    def unary(self) -> str:
        return (
            self._client("unary")
            .chat_completion(MESSAGES, max_tokens=MAX_TOKENS)
            .choices[0]
            .message.content
            or ""
        )

    def stream(self, slug: str) -> list[str]:
        return [chunk.choices[0].delta.content or "" for chunk in self._stream(slug)]

    def _stream(self, slug: str) -> Any:
        return self._client(slug).chat_completion(MESSAGES, max_tokens=MAX_TOKENS, stream=True)

    def first(self) -> float:
        first = 0.0
        for _ in self._stream("short"):
            first = first or time.perf_counter()
        return first

    def embed(self) -> list[list[float]]:
        raise NotImplementedError

    def close(self) -> None:
        """It closes itself."""
