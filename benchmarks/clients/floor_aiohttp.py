"""The floor of async clients: only aiohttp and orjson, as a careful user writes it by hand.

The session has no connection limit; otherwise it has aiohttp's defaults. orjson renders the
request. A stream is read with ``readany``, split at the blank line, and each event is parsed.
Nothing is
checked: no deadline of its own, no status, no errors in the stream, no other line ends, no end but
``[DONE]`` or the end of the body.
"""

from __future__ import annotations

import time

import aiohttp
import orjson

from benchmarks.wire import KEY, TEXTS, chat_body, chat_path, embed_path


class FloorAiohttp:
    """The hand-written client."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

    async def unary(self) -> str:
        body = orjson.dumps(chat_body("unary", stream=False))
        async with self._session.post(
            self._url + chat_path("unary"), data=body, headers=self._headers
        ) as response:
            document = orjson.loads(await response.read())
        text: str = document["choices"][0]["message"]["content"]
        return text

    async def stream(self, slug: str) -> list[str]:
        loads = orjson.loads
        texts: list[str] = []
        rest = b""
        body = orjson.dumps(chat_body(slug, stream=True))
        async with self._session.post(
            self._url + chat_path(slug), data=body, headers=self._headers
        ) as response:
            readany = response.content.readany
            while data := await readany():
                *events, rest = (rest + data).split(b"\n\n")
                for event in events:
                    if event == b"data: [DONE]":
                        continue
                    delta = loads(event[6:])["choices"][0]["delta"]
                    texts.append(delta.get("content") or "")
        return texts

    async def first(self) -> float:
        first = 0.0
        rest = b""
        body = orjson.dumps(chat_body("short", stream=True))
        async with self._session.post(
            self._url + chat_path("short"), data=body, headers=self._headers
        ) as response:
            while data := await response.content.readany():
                *events, rest = (rest + data).split(b"\n\n")
                for event in events:
                    if event != b"data: [DONE]":
                        orjson.loads(event[6:])["choices"][0]["delta"].get("content")
                        first = first or time.perf_counter()
        return first

    async def embed(self) -> list[list[float]]:
        body = orjson.dumps({"model": "embed", "input": TEXTS})
        async with self._session.post(
            self._url + embed_path(), data=body, headers=self._headers
        ) as response:
            document = orjson.loads(await response.read())
        return [item["embedding"] for item in document["data"]]

    async def close(self) -> None:
        await self._session.close()
