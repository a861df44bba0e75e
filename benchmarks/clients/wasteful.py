"""Our clients with waste that the counts must detect: they are the test of the counts."""

from __future__ import annotations

import asyncio
import json
import threading

from benchmarks.clients.ours import OursAsync, OursSync
from inferencekey import TextChunk


class WastefulAsync(OursAsync):
    """Serialises and parses everything a second time."""

    async def unary(self) -> str:
        text: str = json.loads(
            json.dumps({"text": await super().unary(), "more": [{} for _ in range(20)]}, indent=1)
        )["text"]
        return text

    async def stream(self, slug: str) -> list[str]:
        return [
            str(json.loads(json.dumps({"text": text}))["text"])
            for text in await super().stream(slug)
        ]

    async def chunks(self, slug: str) -> list[TextChunk]:
        chunks = await super().chunks(slug)
        for chunk in chunks:
            _ = chunk.raw
        return [
            TextChunk(chunk.text, chunk.finish_reason, json.loads(json.dumps(chunk.raw)))
            for chunk in chunks
        ]


class WastefulSync(OursSync):
    """Switches to a loop's thread and back for every chunk and every call."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _cross(self, text: str) -> str:
        async def same() -> str:
            return text

        return asyncio.run_coroutine_threadsafe(same(), self._loop).result()

    def unary(self) -> str:
        return self._cross(super().unary())

    def stream(self, slug: str) -> list[str]:
        return [self._cross(text) for text in super().stream(slug)]

    def chunks(self, slug: str) -> list[TextChunk]:
        return [
            TextChunk(chunk.text, chunk.finish_reason, dict(chunk.raw))
            for chunk in super().chunks(slug)
        ]

    def close(self) -> None:
        super().close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
