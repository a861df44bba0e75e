"""This package, used as its documentation describes. With uvloop it is as with ``[speedups]``."""

from __future__ import annotations

import time

from benchmarks.wire import KEY, MAX_TOKENS, PROJECT, PROMPT, TEXTS
from inferencekey import AsyncDataClient, DataClient, TextChunk


class OursAsync:
    """``AsyncDataClient``."""

    def __init__(self, url: str) -> None:
        self._client = AsyncDataClient(base_url=url, project=PROJECT, api_key=KEY)
        self._unary = self._client.endpoint("unary")
        self._short = self._client.endpoint("short")
        self._embed = self._client.endpoint("embed")

    async def unary(self) -> str:
        return (await self._unary.generate_text(PROMPT, max_tokens=MAX_TOKENS)).text

    async def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        async for chunk in self._client.endpoint(slug).generate_text_stream(
            PROMPT, max_tokens=MAX_TOKENS
        ):
            texts.append(chunk.text)
        return texts

    async def chunks(self, slug: str) -> list[TextChunk]:
        """Read a stream and keep its chunks."""
        return [
            chunk
            async for chunk in self._client.endpoint(slug).generate_text_stream(
                PROMPT, max_tokens=MAX_TOKENS
            )
        ]

    async def first(self) -> float:
        first = 0.0
        async for _ in self._short.generate_text_stream(PROMPT, max_tokens=MAX_TOKENS):
            first = first or time.perf_counter()
        return first

    async def embed(self) -> list[list[float]]:
        return list((await self._embed.embed(TEXTS)).embeddings)

    async def close(self) -> None:
        await self._client.aclose()


class OursSync:
    """``DataClient``."""

    def __init__(self, url: str) -> None:
        self._client = DataClient(base_url=url, project=PROJECT, api_key=KEY)
        self._unary = self._client.endpoint("unary")
        self._short = self._client.endpoint("short")
        self._embed = self._client.endpoint("embed")

    def unary(self) -> str:
        return self._unary.generate_text(PROMPT, max_tokens=MAX_TOKENS).text

    def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        for chunk in self._client.endpoint(slug).generate_text_stream(
            PROMPT, max_tokens=MAX_TOKENS
        ):
            texts.append(chunk.text)
        return texts

    def chunks(self, slug: str) -> list[TextChunk]:
        """Read a stream and keep its chunks."""
        return list(self._client.endpoint(slug).generate_text_stream(PROMPT, max_tokens=MAX_TOKENS))

    def first(self) -> float:
        first = 0.0
        for _ in self._short.generate_text_stream(PROMPT, max_tokens=MAX_TOKENS):
            first = first or time.perf_counter()
        return first

    def embed(self) -> list[list[float]]:
        return list(self._embed.embed(TEXTS).embeddings)

    def close(self) -> None:
        self._client.close()
