"""The floor of sync clients that stream: an ``http.client`` connection for each thread, and orjson.

The result of ``read1`` is split at the blank line, as in the aiohttp floor. Nothing is checked.
"""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit

import orjson

from benchmarks.wire import KEY, TEXTS, chat_body, chat_path, embed_path


class FloorHttpClient:
    """The hand-written client."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._local = threading.local()
        self._headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

    def _post(self, path: str, body: object) -> http.client.HTTPResponse:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(self._address)
        connection.request("POST", path, orjson.dumps(body), self._headers)
        return connection.getresponse()

    def unary(self) -> str:
        document = orjson.loads(
            self._post(chat_path("unary"), chat_body("unary", stream=False)).read()
        )
        text: str = document["choices"][0]["message"]["content"]
        return text

    def stream(self, slug: str) -> list[str]:
        loads = orjson.loads
        texts: list[str] = []
        rest = b""
        read1 = self._post(chat_path(slug), chat_body(slug, stream=True)).read1
        while data := read1(65536):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event == b"data: [DONE]":
                    continue
                delta = loads(event[6:])["choices"][0]["delta"]
                texts.append(delta.get("content") or "")
        return texts

    def first(self) -> float:
        first = 0.0
        rest = b""
        response = self._post(chat_path("short"), chat_body("short", stream=True))
        while data := response.read1(65536):
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if event != b"data: [DONE]":
                    orjson.loads(event[6:])["choices"][0]["delta"].get("content")
                    first = first or time.perf_counter()
        return first

    def embed(self) -> list[list[float]]:
        document = orjson.loads(self._post(embed_path(), {"model": "embed", "input": TEXTS}).read())
        return [item["embedding"] for item in document["data"]]

    def close(self) -> None:
        """Close this thread's connection. Those of other threads are closed with their threads."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
