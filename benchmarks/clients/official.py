"""The official SDK: synchronous, with a core in Rust.

Its package has the same name as ours. It is installed only in an environment of its own.
"""

from __future__ import annotations

import time
from typing import Any

import inferencekey
from benchmarks.wire import KEY, MAX_TOKENS, PROJECT, PROMPT, TEXTS


class Official:
    """``DataClient``."""

    def __init__(self, url: str) -> None:
        client: Any = inferencekey.DataClient(base_url=url, project=PROJECT, api_key=KEY)
        self._client = client
        self._unary = client.endpoint("unary")
        self._short = client.endpoint("short")
        self._embed = client.endpoint("embed")

    def unary(self) -> str:
        text: str = self._unary.generate_text(prompt=PROMPT, max_tokens=MAX_TOKENS).text
        return text

    def stream(self, slug: str) -> list[str]:
        texts: list[str] = []
        for chunk in self._client.endpoint(slug).generate_text_stream(
            prompt=PROMPT, max_tokens=MAX_TOKENS
        ):
            texts.append(chunk.text)
        return texts

    def first(self) -> float:
        first = 0.0
        for _ in self._short.generate_text_stream(prompt=PROMPT, max_tokens=MAX_TOKENS):
            first = first or time.perf_counter()
        return first

    def embed(self) -> list[list[float]]:
        vectors: list[list[float]] = self._embed.embed(input=TEXTS).embeddings
        return vectors

    def close(self) -> None:
        """The client needs no closing."""
