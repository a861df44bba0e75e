"""Faults by name. A fault takes the connection, the request, and the body of a good response."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from faults.responses import chunk, head, json_response
from faults.server import Connection, Request

__all__ = ["Fault", "good_body"]

Fault = Callable[[Connection, Request, bytes], Awaitable[None]]

CHAT = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hola"}, "finish_reason": "stop"}
    ]
}
WORKLOAD = {"id": "w-1", "slug": "bot", "name": "bot"}
READY = b'data: {"phase": "ready", "message": "up", "elapsed_ms": 1}\n\n'


def good_body(request: Request) -> bytes:
    """Return the body of the good response to a request, also for a stream of events."""
    if request.path.endswith("/readiness-events"):
        return READY
    if request.path.endswith("/chat/completions"):
        if request.json.get("stream"):
            text: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": "Hola"}}]}
            end: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            return (
                b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in (text, end))
                + b"data: [DONE]\n\n"
            )
        return json.dumps(CHAT).encode()
    if request.path.endswith("/embeddings"):
        return b'{"data": [{"index": 0, "embedding": [1.0, 2.0]}], "model": "m"}'
    if request.path.endswith("/rerank"):
        return b'{"results": [{"index": 0, "relevance_score": 0.5}]}'
    return json.dumps([WORKLOAD]).encode()


def is_stream(request: Request) -> bool:
    return request.path.endswith("/readiness-events") or b'"stream":true' in request.body


def kind_of(request: Request) -> str:
    return "text/event-stream" if is_stream(request) else "application/json"


async def good(connection: Connection, request: Request, body: bytes) -> None:
    """Sends the good response."""
    if request.method == "DELETE":
        await connection.send(head(204))
    elif is_stream(request):
        await connection.send(
            head(content_type="text/event-stream", transfer_encoding="chunked"),
            chunk(body),
            chunk(b""),
        )
    else:
        await connection.send(json_response(body, x_request_id="req-good"))


# No response.


async def closes(connection: Connection, request: Request, body: bytes) -> None:
    connection.close()


async def resets(connection: Connection, request: Request, body: bytes) -> None:
    connection.reset()


async def half_closes(connection: Connection, request: Request, body: bytes) -> None:
    """Closes its own side without a response, and reads on."""
    connection.writer.write_eof()
    await connection.until_gone()


async def is_silent(connection: Connection, request: Request, body: bytes) -> None:
    await connection.until_gone()


async def is_silent_in_the_head(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await connection.until_gone()


async def is_silent_in_the_body(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), content_length=str(len(body))), body[:5]
    )
    await connection.until_gone()


# Good responses in an unusual form.


async def dribbles(connection: Connection, request: Request, body: bytes) -> None:
    await connection.dribble(
        head(content_type=kind_of(request), content_length=str(len(body))) + body
    )


async def dribbles_chunks(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(head(content_type=kind_of(request), transfer_encoding="chunked"))
    await connection.send(*(chunk(bytes([byte])) for byte in body), chunk(b""))


async def has_no_length(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(head(content_type=kind_of(request), connection="close"), body)
    connection.close()


async def speaks_http_1_0(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        f"HTTP/1.0 200 OK\r\nContent-Type: {kind_of(request)}\r\n\r\n".encode(), body
    )
    connection.close()


async def says_continue_first(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")
    await good(connection, request, body)


async def gives_early_hints_first(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
    await good(connection, request, body)


def encodes(name: str, encode: Callable[[bytes], bytes]) -> Fault:
    """Sends the response in a content encoding."""

    async def script(connection: Connection, request: Request, body: bytes) -> None:
        data = encode(body)
        await connection.send(
            head(
                content_type=kind_of(request), content_encoding=name, content_length=str(len(data))
            ),
            data,
        )

    return script


gzips = encodes("gzip", gzip.compress)
deflates = encodes("deflate", zlib.compress)
deflates_without_a_header = encodes("deflate", lambda body: zlib.compress(body, wbits=-15))
cuts_gzip = encodes("gzip", lambda body: gzip.compress(body)[:-12])
lies_about_gzip = encodes("gzip", lambda body: body)
# These are not requested, so they are always wrong, and their content does not matter.
sends_brotli = encodes("br", lambda body: b"\x0b\x02\x80" + body + b"\x03")
sends_zstd = encodes("zstd", lambda body: b"\x28\xb5\x2f\xfd\x20" + bytes([len(body) & 255]) + body)
sends_an_unknown_encoding = encodes("snappy", lambda body: b"\xff\x06\x00\x00sNaPpY" + body)


# Wrong lengths and framing.


async def ends_before_its_length(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), content_length=str(len(body) + 9)), body
    )
    connection.close()


async def is_cut_within_its_length(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), content_length=str(len(body))), body[:-9]
    )
    connection.close()


async def is_reset_within_its_length(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), content_length=str(len(body))), body[:-9]
    )
    connection.reset()


async def goes_on_after_its_length(connection: Connection, request: Request, body: bytes) -> None:
    """Sends a whole response, and another one after it."""
    await connection.send(
        head(content_type=kind_of(request), content_length=str(len(body))) + body + POISON
    )


async def speaks_unasked(connection: Connection, request: Request, body: bytes) -> None:
    """Sends a whole response, and another one while the connection is idle."""
    await good(connection, request, body)
    await asyncio.sleep(0.05)
    await connection.send(POISON)


POISON = json_response(
    {"choices": [{"message": {"content": "poison"}, "finish_reason": "stop"}], "poison": True}
)


async def is_cut_in_a_chunk(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), transfer_encoding="chunked"), chunk(body)[:-9]
    )
    connection.close()


async def has_no_last_chunk(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), transfer_encoding="chunked"), chunk(body)
    )
    connection.close()


async def has_a_bad_chunk_size(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(
        head(content_type=kind_of(request), transfer_encoding="chunked"), b"zz\r\n" + body + b"\r\n"
    )


async def breaks_its_framing(connection: Connection, request: Request, body: bytes) -> None:
    """Sends a good chunk, and then a chunk whose size is not a number."""
    first = head(content_type=kind_of(request), transfer_encoding="chunked") + chunk(body[:5])
    await connection.send(first, pause=0.2)
    await connection.send(b"zz\r\n" + body[5:] + b"\r\n")


async def speaks_no_http(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    await connection.until_gone()


async def has_a_huge_header(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(head(x_big="x" * 100_000, content_length="0"))


# Bodies that do not have the form of the contract.


def says(body: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> Fault:
    """Sends this body."""

    async def script(connection: Connection, request: Request, right: bytes) -> None:
        await connection.send(
            head(
                status,
                content_type=kind,
                content_length=str(len(body)),
                x_request_id="req-bad",
                **headers,
            ),
            body,
        )

    return script


async def truncates_json(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(json_response(body[: len(body) // 2]))


async def sends_invalid_utf_8(connection: Connection, request: Request, body: bytes) -> None:
    # The first quoted word of every body becomes one that is not UTF-8.
    await connection.send(json_response(body.replace(b'"', b'"\xff\xfe', 1)))


async def has_no_content(connection: Connection, request: Request, body: bytes) -> None:
    await connection.send(head(204, x_request_id="req-bad"))


def refuses(
    status: int, body: bytes = b'{"error": "no"}', kind: str = "application/json", **headers: str
) -> Fault:
    """Sends an error."""
    return says(body, kind, status, **headers)


def redirects(status: int, location: str) -> Fault:
    """Sends a redirect."""

    async def script(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(head(status, location=location, content_length="0"))

    return script


def sends_a_huge_page(status: int, size: int = 20_000_000, encoding: str | None = None) -> Fault:
    """Sends a very long page."""
    piece = b"<p>x" + b"x" * 65_532
    packed = gzip.compress(b"x" * size)

    async def script(connection: Connection, request: Request, body: bytes) -> None:
        if encoding == "gzip":
            first = head(
                status,
                content_type="text/html",
                content_encoding="gzip",
                content_length=str(len(packed)),
            )
            await connection.send(first, packed)
            return
        await connection.send(
            head(status, content_type="text/html", content_length=str(size // 65_536 * 65_536))
        )
        for _ in range(size // 65_536):
            await connection.send(piece)

    return script


# Streams.


def streams(*pieces: bytes, then: str = "end", **headers: str) -> Fault:
    """Sends a chunked event stream.

    Args:
        pieces: one HTTP chunk each.
        then: ``end`` it, ``close`` or ``reset`` the connection, or ``hang``.
        headers: more of them.
    """

    async def script(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(
            head(
                content_type="text/event-stream",
                transfer_encoding="chunked",
                x_request_id="req-s",
                **headers,
            )
        )
        await connection.send(*(chunk(piece) for piece in pieces))
        if then == "end":
            await connection.send(chunk(b""))
        elif then == "close":
            connection.close()
        elif then == "reset":
            connection.reset()
        else:
            await connection.until_gone()

    return script
