"""The server's responses. Each is rendered once, before the first request."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Final

from benchmarks.wire import (
    CHUNKS,
    EMBED_COUNT,
    EMBED_SIZE,
    PACED_CHUNKS,
    PROJECT,
    SHORT_CHUNKS,
    TEXT_TOKENS,
    text_of,
    workload,
)

__all__ = [
    "StreamResponse",
    "WholeResponse",
    "render_all",
    "render_created",
    "render_engine",
    "render_list",
]

PACE: Final = 0.005
"""Seconds between two events of a paced stream."""

FAST_PACE: Final = 0.001
"""The same for a stream that runs alone, so that a short round has many events."""

CREATED: Final = 1_780_000_000


@dataclass(frozen=True)
class WholeResponse:
    """A response that is one write."""

    data: bytes


@dataclass(frozen=True)
class StreamResponse:
    """A response of several writes. The first one contains the head.

    Args:
        pieces: what each write sends.
        pause: seconds between two writes; 0 for no pause.
    """

    pieces: tuple[bytes, ...]
    pause: float = 0.0


def render_all() -> dict[bytes, WholeResponse | StreamResponse]:
    """Return every response by method and path."""
    responses: dict[bytes, WholeResponse | StreamResponse] = {}
    chats: dict[str, WholeResponse | StreamResponse] = {
        "unary": _render_json(_completion()),
        "stream-64": _render_stream(_events(CHUNKS), per_write=64),
        "stream-1": _render_stream(_events(CHUNKS)),
        "stream-varied": _render_stream(_varied(CHUNKS), per_write=64),
        "paced": _render_stream(_events(PACED_CHUNKS), pause=PACE),
        "paced-one": _render_stream(_events(PACED_CHUNKS), pause=FAST_PACE),
        "short": _render_stream(_events(SHORT_CHUNKS), per_write=SHORT_CHUNKS),
        "slow": _render_stream(_events(1000), pause=5.0),
    }
    for slug, response in chats.items():
        responses[f"POST /endpoint/{PROJECT}/{slug}/v1/chat/completions".encode()] = response
    responses[f"POST /endpoint/{PROJECT}/embed/v1/embeddings".encode()] = _render_json(_vectors())
    for count in (100, 10_000):
        workloads = [workload(count, number) for number in range(count)]
        responses[f"GET /api/projects/p{count}/workloads".encode()] = _render_json(workloads)
    return responses


def render_engine(
    port: int,
) -> tuple[dict[bytes, StreamResponse], dict[bytes, WholeResponse | StreamResponse]]:
    """Return the streams of an engine by name, and its other responses by method and path.

    ``paced-N`` has N events, one a write, as a model on a good GPU sends them. ``burst-N`` has 64
    events a write.
    """
    streams = {f"paced-{count}": _render_stream(_events(count), pause=PACE) for count in (8, 104)}
    streams |= {
        f"burst-{count}": _render_stream(_events(count), per_write=64) for count in (8, 1032)
    }
    models = _render_json({"object": "list", "data": [{"id": "prepared", "object": "model"}]})
    responses: dict[bytes, WholeResponse | StreamResponse] = {
        b"GET /v1/models": models,
        b"GET /health": models,
    }
    responses[b"GET /v1/port"] = _render_json({"port": port})
    return {name.encode(): stream for name, stream in streams.items()}, responses


def _render_json(value: object, status: str = "200 OK") -> WholeResponse:
    body = _dump(value)
    return WholeResponse(
        _render_head(status, "application/json", f"Content-Length: {len(body)}") + body
    )


def _dump(value: object) -> bytes:
    """Render JSON as vLLM and llama.cpp do: without spaces, and without escaping non-ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def render_created(slug: str) -> WholeResponse:
    """Return the response to a create."""
    number = int(slug.rpartition("-")[2])
    return _render_json(workload(0, number), "201 Created")


def render_list(slugs: list[str]) -> WholeResponse:
    """Return the list of the workloads that were created."""
    return _render_json([workload(0, int(slug.rpartition("-")[2])) for slug in slugs])


def _render_head(status: str, kind: str, framing: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nServer: benchmarks\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
        f"Content-Type: {kind}\r\nX-Request-Id: req-0123456789abcdef\r\n{framing}\r\n\r\n"
    ).encode()


def _render_stream(
    events: list[bytes], *, per_write: int = 1, pause: float = 0.0
) -> StreamResponse:
    """Render a stream. Every event is one HTTP chunk, as servers send them.

    Each write has *per_write* of them, and the last write also ends the body.
    """
    head = _render_head(
        "200 OK",
        "text/event-stream; charset=utf-8",
        "Cache-Control: no-cache\r\nTransfer-Encoding: chunked",
    )
    chunks = [b"%x\r\n%s\r\n" % (len(data), data) for data in (*events, b"data: [DONE]\n\n")]
    chunks[0] = head + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return StreamResponse(
        tuple(b"".join(chunks[at : at + per_write]) for at in range(0, len(chunks), per_write)),
        pause,
    )


def _events(count: int) -> list[bytes]:
    """Return *count* events as vLLM and llama.cpp send them: role, texts, finish reason."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text_of(number)}, None) for number in range(count - 2)]
    deltas.append(({}, "stop"))
    return [b"data: " + _dump(_chunk(*delta)) + b"\n\n" for delta in deltas]


def _varied(count: int) -> list[bytes]:
    """Return the same with a field that differs in every event, also in length.

    OpenAI's API sends such a field, so that lengths do not reveal the text to an eavesdropper.
    """
    numbers = random.Random(0)  # noqa: S311
    filler = ["x" * numbers.randrange(1, 16) + str(number) for number in range(count)]
    return [
        event.replace(b'"choices"', b'"obfuscation":"%s","choices"' % text.encode())
        for event, text in zip(_events(count), filler, strict=True)
    ]


def _chunk(delta: dict[str, str], reason: str | None) -> object:
    return {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "support-bot",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
    }


def _completion() -> object:
    return {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion",
        "created": CREATED,
        "model": "support-bot",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "".join(text_of(number) for number in range(TEXT_TOKENS)),
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76},
    }


def _vectors() -> object:
    numbers = random.Random(0)  # noqa: S311
    return {
        "object": "list",
        "model": "support-bot",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": [round(numbers.uniform(-0.1, 0.1), 9) for _ in range(EMBED_SIZE)],
            }
            for index in range(EMBED_COUNT)
        ],
        "usage": {"prompt_tokens": 2048, "total_tokens": 2048},
    }
