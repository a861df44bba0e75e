"""``huggingface_hub``: its inference clients.

They have no ``embed``: the package's embeddings are not those of the contract.
"""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.clients.peer import MESSAGES, AsyncPeer, SyncPeer
from benchmarks.wire import KEY, MAX_TOKENS

huggingface_hub: Any = importlib.import_module("huggingface_hub")


class HuggingFaceAsync(AsyncPeer):
    """``AsyncInferenceClient``."""

    def _make_client(self, base_url: str) -> Any:
        return huggingface_hub.AsyncInferenceClient(base_url=base_url, api_key=KEY)

    async def _complete(self, slug: str, **options: Any) -> Any:
        return await self._client(slug).chat_completion(MESSAGES, max_tokens=MAX_TOKENS, **options)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


class HuggingFaceSync(SyncPeer):
    """``InferenceClient``. A client that is dropped closes itself."""

    def _make_client(self, base_url: str) -> Any:
        return huggingface_hub.InferenceClient(base_url=base_url, api_key=KEY)

    def _complete(self, slug: str, **options: Any) -> Any:
        return self._client(slug).chat_completion(MESSAGES, max_tokens=MAX_TOKENS, **options)

    def close(self) -> None:
        """The clients need no closing."""
