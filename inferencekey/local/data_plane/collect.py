"""A stream put together into the answer of a call that did not ask for one.

The engine is always asked to stream: it stops computing when a stream is closed, and at nothing else.
"""

from __future__ import annotations

from typing import Any, cast

import orjson

from inferencekey._core.data.sse import Event

__all__ = ["Assembly", "StreamError"]

DONE = b"[DONE]"

_PER_CHUNK = frozenset({"choices", "object", "usage"})


class StreamError(Exception):
    """The engine said in its stream that it failed.

    Args:
        message: its words.
        status: what it would have answered, had it known before; 500 where it does not say.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Assembly:
    """Takes a stream's events, gives the answer. One for each call, chat or plain completion alike."""

    def __init__(self) -> None:
        self._body: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self._chat = False
        self.done = False
        """Whether the engine said that this is all."""

    def take(self, event: Event) -> None:
        """Add one event.

        Raises:
            StreamError: it is an error.
            ValueError: it is not JSON.
        """
        if event.data == DONE:
            self.done = True
            return
        chunk = orjson.loads(event.data)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk is not a JSON object")  # noqa: TRY004 - the bytes are wrong, not our types
        given = cast("dict[str, Any]", chunk)
        if given.get("error"):
            raise _stream_error(given["error"])
        self._body.update({name: value for name, value in given.items() if name not in _PER_CHUNK})
        self._usage = given.get("usage") or self._usage
        self._chat = self._chat or given.get("object") == "chat.completion.chunk"
        for part in cast("list[dict[str, Any]]", given.get("choices") or []):
            self._add(part)

    def answer(self) -> dict[str, Any]:
        """Return the whole answer, its choices by index."""
        body = {
            **self._body,
            "object": "chat.completion" if self._chat else "text_completion",
            "choices": [self._choices[index] for index in sorted(self._choices)],
        }
        if self._usage is not None:
            body["usage"] = self._usage
        return body

    def _add(self, part: dict[str, Any]) -> None:
        index: int = part.get("index") or 0
        empty: dict[str, Any] = (
            {"message": {"role": "assistant", "content": None}} if self._chat else {"text": ""}
        )
        choice = self._choices.setdefault(
            index, {"index": index, **empty, "logprobs": None, "finish_reason": None}
        )
        if part.get("finish_reason") is not None:
            choice["finish_reason"] = part["finish_reason"]
        if part.get("logprobs"):
            choice["logprobs"] = _joined(choice["logprobs"], part["logprobs"])
        if "text" in part:
            choice["text"] += part["text"] or ""
        if part.get("delta"):
            _add_delta(choice["message"], part["delta"])


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if value is None:
            continue
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value:
                _add_call(calls, call)
        elif name != "role" and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        else:
            message[name] = value


def _add_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    """Add one piece of a tool call: its id and name come once, its arguments in pieces."""
    index: int = delta.get("index") or 0
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    for name in ("id", "type"):
        call[name] = delta.get(name) or call[name]
    function: dict[str, Any] = delta.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _joined(sofar: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Append each list of *more* to the one in *sofar*."""
    joined = dict(sofar or {})
    for name, value in more.items():
        joined[name] = (joined.get(name) or []) + value if isinstance(value, list) else value
    return joined


def _stream_error(error: object) -> StreamError:
    if not isinstance(error, dict):
        return StreamError(str(error), 500)
    given = cast("dict[str, Any]", error)
    code = given.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return StreamError(str(given.get("message") or "the engine failed"), status)
