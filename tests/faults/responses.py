"""The bytes of responses."""

from __future__ import annotations

import json
from typing import Any

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
}


def head(status: int = 200, **headers: str) -> bytes:
    """A status line and headers; ``content_length="3"`` is ``Content-Length: 3``."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def json_response(value: Any, status: int = 200, **headers: str) -> bytes:
    """A whole JSON response."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return (
        head(status, content_type="application/json", content_length=str(len(body)), **headers)
        + body
    )


def sse_head(**headers: str) -> bytes:
    """The beginning of a chunked event stream."""
    return head(200, content_type="text/event-stream", transfer_encoding="chunked", **headers)


def chunk(data: bytes) -> bytes:
    """One HTTP chunk; of no data, the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def events(*texts: str, finish: str | None = "stop", done: bool = True) -> list[bytes]:
    """The data events of a chat stream, one HTTP chunk each, without the end of the body."""
    found: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}}], "model": "m"} for text in texts
    ]
    if finish:
        found.append(
            {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "model": "m"}
        )
    lines = [b"data: " + json.dumps(value).encode() + b"\n\n" for value in found]
    return [chunk(line) for line in [*lines, *([b"data: [DONE]\n\n"] if done else [])]]
