"""A stream of an engine, collected into the response of a call that did not ask for a stream.

Closing a stream is the only way to make llama.cpp stop computing. So it is always asked for a
stream, and a caller that leaves stops the computation.
"""

from __future__ import annotations

from typing import Any, Final, cast

import aiohttp
import orjson

from inferencekey._core.data.sse import Event, SSEDecoder
from inferencekey.local.data_plane.engine_client import engine_died

__all__ = ["Collector", "StreamError", "collect", "streaming_request"]

DONE: Final = b"[DONE]"

_PER_CHUNK: Final = frozenset({"choices", "object", "usage"})
"""The fields of a chunk that are not copied to the response as they are."""


class StreamError(Exception):
    """The engine sent an error in its stream.

    Args:
        message: the engine's words.
        status: the status that the engine's response would have had, if it had known before; 500
            if the error does not say.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def streaming_request(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body that asks for the same response as a stream, with its usage."""
    options: dict[str, Any] = body.get("stream_options") or {}
    return {**body, "stream": True, "stream_options": {**options, "include_usage": True}}


async def collect(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read a stream to its end and return the body of the whole response.

    Raises:
        StreamError: the engine sent an error in the stream.
        HTTPRefusal: 502, the stream broke.
    """
    decoder, collector = SSEDecoder(), Collector()
    try:
        async for part in response.content.iter_any():
            for event in decoder.feed(part):
                collector.add(event)
    except (aiohttp.ClientError, ValueError):
        raise engine_died() from None
    if not collector.done:
        raise engine_died()
    return collector.body()


class Collector:
    """Events go in, the body of the response comes out: of a chat or a plain completion."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self._is_chat = False
        self.done = False
        """Whether the engine has sent ``[DONE]``."""

    def add(self, event: Event) -> None:
        """Add one event.

        Raises:
            StreamError: it is an error.
            ValueError: it is not JSON.
        """
        if event.data == DONE:
            self.done = True
            return
        value = orjson.loads(event.data)
        if not isinstance(value, dict):
            raise ValueError("a chunk is not a JSON object")  # noqa: TRY004 - the bytes are wrong
        chunk = cast("dict[str, Any]", value)
        if chunk.get("error"):
            raise _stream_error(chunk["error"])
        for name, field in chunk.items():
            if name not in _PER_CHUNK:
                self._fields[name] = field
        # It comes in a last chunk without choices; the chunks before have null or nothing.
        self._usage = chunk.get("usage") or self._usage
        if chunk.get("object") == "chat.completion.chunk":
            self._is_chat = True
        for part in cast("list[dict[str, Any]]", chunk.get("choices") or []):
            self._add_part(part)

    def body(self) -> dict[str, Any]:
        """Return the body of the response, its choices ordered by index."""
        body = {
            **self._fields,
            "object": "chat.completion" if self._is_chat else "text_completion",
            "choices": [self._choices[index] for index in sorted(self._choices)],
        }
        if self._usage is not None:
            body["usage"] = self._usage
        return body

    def _add_part(self, part: dict[str, Any]) -> None:
        choice = self._choice(part.get("index") or 0)
        if part.get("finish_reason") is not None:
            choice["finish_reason"] = part["finish_reason"]
        if part.get("logprobs"):
            choice["logprobs"] = _join_logprobs(choice["logprobs"], part["logprobs"])
        if "text" in part:
            choice["text"] += part["text"] or ""
        if part.get("delta"):
            _add_delta(choice["message"], part["delta"])

    def _choice(self, index: int) -> dict[str, Any]:
        if index not in self._choices:
            content: dict[str, Any] = {"text": ""}
            if self._is_chat:
                content = {"message": {"role": "assistant", "content": None}}
            fields = {"index": index, **content, "logprobs": None, "finish_reason": None}
            self._choices[index] = fields
        return self._choices[index]


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if value is None:
            continue
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value:
                _add_tool_call(calls, call)
        elif name != "role" and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        else:
            message[name] = value


def _add_tool_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    """Add a part of a tool call. Its id and name come once, its arguments in parts."""
    index: int = delta.get("index") or 0
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    for name in ("id", "type"):
        call[name] = delta.get(name) or call[name]
    function: dict[str, Any] = delta.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _join_logprobs(so_far: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Append each list of *more* to the list of the same name in *so_far*."""
    joined = dict(so_far or {})
    for name, value in more.items():
        if isinstance(value, list):
            joined[name] = (joined.get(name) or []) + value
        else:
            joined[name] = value
    return joined


def _stream_error(error: object) -> StreamError:
    if not isinstance(error, dict):
        return StreamError(str(error), 500)
    fields = cast("dict[str, Any]", error)
    code = fields.get("code")
    status = 500
    if isinstance(code, int) and 400 <= code < 600:
        status = code
    return StreamError(str(fields.get("message") or "the engine failed"), status)
