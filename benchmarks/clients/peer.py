"""What peers share that make one client for each workload and return OpenAI's objects."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

from benchmarks.wire import PROJECT, PROMPT

MESSAGES: Any = [{"role": "user", "content": PROMPT}]


class _Peer(ABC):
    """One client for each workload, because its base URL names the workload."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[str, Any] = {}

    def _client(self, slug: str) -> Any:
        client = self._clients.get(slug)
        if client is None:
            made = self._make_client(f"{self._url}/endpoint/{PROJECT}/{slug}/v1")
            # If several threads arrive here at once, all of them use the first one's client.
            client = self._clients.setdefault(slug, made)
        return client

    @abstractmethod
    def _make_client(self, base_url: str) -> Any:
        """Return a client of the package."""


class AsyncPeer(_Peer):
    """The calls of a peer's async client."""

    @abstractmethod
    async def _complete(self, slug: str, **options: Any) -> Any:
        """Request a chat completion. With ``stream=True`` return an async iterator of chunks."""

    async def unary(self) -> str:
        completion = await self._complete("unary")
        return completion.choices[0].message.content or ""

    async def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        async for chunk in await self._complete(slug, stream=True):
            texts.append(chunk.choices[0].delta.content or "")
        return texts

    async def first(self) -> float:
        first = 0.0
        async for _ in await self._complete("short", stream=True):
            first = first or time.perf_counter()
        return first


class SyncPeer(_Peer):
    """The calls of a peer's sync client."""

    @abstractmethod
    def _complete(self, slug: str, **options: Any) -> Any:
        """Request a chat completion. With ``stream=True`` return an iterator of chunks."""

    def unary(self) -> str:
        return self._complete("unary").choices[0].message.content or ""

    def stream(self, slug: str) -> list[str]:
        return [chunk.choices[0].delta.content or "" for chunk in self._complete(slug, stream=True)]

    def first(self) -> float:
        first = 0.0
        for _ in self._complete("short", stream=True):
            first = first or time.perf_counter()
        return first
