"""The matrix of text streams: what arrives, what the caller gets, and how the stream ends."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from faults import Connection, Request, chunk, head
from faults import scripts as f
from faults.calls import KEY, pickles
from faults.lab import Lab

from inferencekey import (
    AsyncDataClient,
    DataClient,
    GenerationFailed,
    InferenceKeyError,
    RequestTimeout,
    ResponseFormatError,
    RetryPolicy,
    StreamInterrupted,
    TransportError,
)

WAYS = ("async", "sync")
PACES = ("fast", "slow")


def data(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def text(content: Any, **more: Any) -> bytes:
    return data({"choices": [{"index": 0, "delta": {"content": content}, **more}]})


def error(value: Any) -> bytes:
    return data({"error": value})


A, B = text("a"), text("b")
STOP = data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
DONE = data(b"[DONE]")
MEGABYTE = text("x" * 1_000_000)
END = STOP + DONE


@dataclass(frozen=True)
class Ends:
    """What a caller gets: the texts, and then the end or this error."""

    texts: list[str]
    error: type[Exception] | None = None
    text: str = ""
    partial: str | None = None
    code: str | None = None
    status: int | None = 200


FINE = Ends(["a", "b", ""])


def broken(pattern: str, *texts: str) -> Ends:
    return Ends(list(texts), StreamInterrupted, pattern, "".join(texts))


def failed(pattern: str, *texts: str, code: str | None = None, status: int = 200) -> Ends:
    return Ends(list(texts), GenerationFailed, pattern, "".join(texts), code, status)


TABLE: list[tuple[str, f.Fault, Ends]] = [
    ("whole", f.streams(A, B, END), FINE),
    ("in one piece", f.streams(A + B + END), FINE),
    ("byte by byte", f.streams(*(bytes([byte]) for byte in A + B + END)), FINE),
    ("no events", f.streams(), broken("before it was complete")),
    ("comments only", f.streams(b": hello\n\n", b":\n\n"), broken("before it was complete")),
    (
        "comments between",
        f.streams(b": hello\n\n", A, b": are you there\n\n" + B, b":\n", END),
        FINE,
    ),
    ("no space after the colon", f.streams((A + B + END).replace(b"data: ", b"data:")), FINE),
    ("CRLF", f.streams((A + B + END).replace(b"\n", b"\r\n")), FINE),
    ("CR", f.streams((A + B + END).replace(b"\n", b"\r")), FINE),
    (
        "CR, byte by byte",
        f.streams(*(bytes([x]) for x in (A + B + END).replace(b"\n", b"\r"))),
        FINE,
    ),
    (
        "CRLF, byte by byte",
        f.streams(*(bytes([x]) for x in (A + B + END).replace(b"\n", b"\r\n"))),
        FINE,
    ),
    ("a BOM", f.streams(b"\xef\xbb\xbf" + A, B, END), FINE),
    ("a BOM, byte by byte", f.streams(*(bytes([x]) for x in b"\xef\xbb\xbf" + A + B + END)), FINE),
    (
        "several data lines",
        f.streams(A, b'data: {"choices":\ndata: [{"delta": {"content":\ndata: "b"}}]}\n\n', END),
        FINE,
    ),
    ("other fields", f.streams(b"id: 7\nretry: 10\nx: y\nevent: message\n" + A, B, END), FINE),
    ("no finish_reason", f.streams(A, B, DONE), Ends(["a", "b"])),
    ("no [DONE]", f.streams(A, B, STOP), FINE),
    ("[DONE] without its blank line", f.streams(A, B, STOP, b"data: [DONE]"), FINE),
    ("only [DONE], without its blank line", f.streams(A, b"data: [DONE]\n"), Ends(["a"])),
    ("[DONE], then hangs", f.streams(A, B, END, then="hang"), FINE),
    ("[DONE], then resets", f.streams(A, B, END, then="reset"), FINE),
    ("[DONE], then more", f.streams(A, B, END, text("never")), FINE),
    ("finish_reason, then closes", f.streams(A, B, STOP, then="close"), FINE),
    ("finish_reason, then resets", f.streams(A, B, STOP, then="reset"), FINE),
    ("finish_reason, then half an event", f.streams(A, B, STOP, b'data: {"usa'), FINE),
    ("null choices", f.streams(A, data({"choices": None}), B, END), Ends(["a", "", "b", ""])),
    ("no choices", f.streams(A, data({"id": "x"}), B, END), Ends(["a", "", "b", ""])),
    (
        "usage only",
        f.streams(A, B, STOP, data({"choices": [], "usage": {"total_tokens": 4}}), DONE),
        Ends(["a", "b", "", ""]),
    ),
    ("null content", f.streams(text(None), A, B, END), Ends(["", "a", "b", ""])),
    (
        "null delta",
        f.streams(data({"choices": [{"delta": None}]}), A, B, END),
        Ends(["", "a", "b", ""]),
    ),
    (
        "role only",
        f.streams(data({"choices": [{"delta": {"role": "assistant"}}]}), A, B, END),
        Ends(["", "a", "b", ""]),
    ),
    (
        "an empty error beside choices",
        f.streams(data({"error": None, "choices": [{"delta": {"content": "a"}}]}), B, END),
        FINE,
    ),
    ("ends", f.streams(A, B), broken("the server closed", "a", "b")),
    ("is cut", f.streams(A, B, then="close"), broken("cut short|closed", "a", "b")),
    ("is reset", f.streams(A, B, then="reset"), broken("^network error: ", "a", "b")),
    (
        "half an event",
        f.streams(A, B, b'data: {"choices"'),
        broken("in the middle of an event", "a", "b"),
    ),
    (
        "half an event, then reset",
        f.streams(A, b'data: {"choices"', then="reset"),
        broken("before it was complete", "a"),
    ),
    (
        "an event without its blank line",
        f.streams(A, text("b").rstrip()),
        broken("in the middle of an event", "a"),
    ),
    ("an error as text", f.streams(A, error("slot lost")), failed("^api error: slot lost$", "a")),
    (
        "an error as a code",
        f.streams(A, error("overloaded")),
        failed("overloaded", "a", code="overloaded"),
    ),
    (
        "an error as OpenAI's",
        f.streams(A, error({"message": "slot lost", "type": "server_error", "code": "gone"})),
        failed("^api error: slot lost$", "a", code="gone"),
    ),
    (
        "an error with a number",
        f.streams(A, error({"message": "slot lost", "code": 500})),
        failed("slot lost", "a", status=500),
    ),
    (
        "an error as a detail",
        f.streams(A, error({"detail": "slot lost"})),
        failed("slot lost", "a"),
    ),
    ("an error as true", f.streams(A, error(True)), failed("^api error: ", "a")),
    ("an error as nothing", f.streams(A, error({})), failed("without words|error", "a")),
    (
        "an error as a list",
        f.streams(A, error([{"message": "slot lost"}])),
        failed("slot lost", "a"),
    ),
    (
        "an error beside choices",
        f.streams(A, data({"error": "slot lost", "choices": []})),
        failed("slot lost", "a"),
    ),
    (
        "event: error with JSON",
        f.streams(A, b"event: error\n" + data({"message": "slot lost"})),
        failed("slot lost", "a"),
    ),
    (
        "event: error with text",
        f.streams(A, b"event: error\n" + data(b"slot lost")),
        failed("^api error: slot lost$", "a"),
    ),
    (
        "event: error, then [DONE]",
        f.streams(A, b"event: error\n" + data(b"slot lost") + DONE),
        failed("slot lost", "a"),
    ),
    (
        "finish_reason error",
        f.streams(A, text("b", finish_reason="error"), DONE),
        Ends(["a"], GenerationFailed, "stopped with an error", "ab", "error"),
    ),
    (
        "finish_reason abort",
        f.streams(A, text(None, finish_reason="abort"), DONE),
        failed("stopped with an error .*abort", "a", code="abort"),
    ),
    (
        "undecodable",
        f.streams(A, B, data(b"{nope"), END),
        Ends(["a", "b"], ResponseFormatError, "not JSON .*nope"),
    ),
    (
        "undecodable, in one piece",
        f.streams(A + B + data(b"{nope") + END),
        Ends(["a", "b"], ResponseFormatError, "not JSON"),
    ),
    (
        "invalid UTF-8",
        f.streams(A, data(b'{"choices": [{"delta": {"content": "\xff"}}]}'), END),
        Ends(["a", "\ufffd", ""]),
    ),
    ("a number", f.streams(A, data(5)), Ends(["a"], ResponseFormatError, "not a JSON object")),
    (
        "choices that are none",
        f.streams(A, data({"choices": [5]})),
        Ends(["a"], ResponseFormatError, "choices"),
    ),
    (
        "content that is not text",
        f.streams(A, text({"b": 1})),
        Ends(["a"], ResponseFormatError, "not a string"),
    ),
    ("a megabyte", f.streams(MEGABYTE, END), Ends(["x" * 1_000_000, ""])),
    (
        "a megabyte in pieces",
        f.streams(*[MEGABYTE[i : i + 50_000] for i in range(0, len(MEGABYTE), 50_000)], END),
        Ends(["x" * 1_000_000, ""]),
    ),
    (
        "17 MiB",
        f.streams(A, text("x" * (17 * 1024**2))),
        Ends(["a"], ResponseFormatError, "longer than 16777216 bytes"),
    ),
    (
        "17 MiB of comment",
        f.streams(A, *[b":" * 1024**2] * 17),
        Ends(["a"], ResponseFormatError, "longer than 16777216 bytes"),
    ),
]


LOSES = {
    "[DONE], then resets",
    "finish_reason, then closes",
    "finish_reason, then resets",
    "is cut",
    "is reset",
    "half an event, then reset",
}
"""Rows in which plain aiohttp classes may lose text, because the connection fails before a read."""


async def read_async(
    url: str, pace: float, items: list[Any], retry: RetryPolicy | None = None, **options: Any
) -> Any:
    async with AsyncDataClient(base_url=url, project="acme", api_key=KEY, retry=retry) as client:
        stream = client.endpoint("bot").generate_text_stream(prompt="x", **options)
        try:
            async for item in stream:
                items.append(item)
                if pace:
                    await asyncio.sleep(pace)
        finally:
            items.append(stream.result)


def read_sync(
    url: str, pace: float, items: list[Any], retry: RetryPolicy | None = None, **options: Any
) -> Any:
    with DataClient(base_url=url, project="acme", api_key=KEY, retry=retry) as client:
        stream = client.endpoint("bot").generate_text_stream(prompt="x", **options)
        try:
            for item in stream:
                items.append(item)
                if pace:
                    time.sleep(pace)
        finally:
            items.append(stream.result)


def read(
    way: str, url: str, pace: float = 0.0, **options: Any
) -> tuple[list[str], Any, Exception | None]:
    """Return the texts that the caller got, the result of the stream, and its error."""
    items: list[Any] = []
    caught: Exception | None = None
    try:
        if way == "async":
            asyncio.run(read_async(url, pace, items, **options))
        else:
            read_sync(url, pace, items, **options)
    except Exception as error:
        caught = error
    *chunks, result = items or [None]
    return [chunk.text for chunk in chunks], result, caught


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("fault", "ends"), [pytest.param(fault, ends, id=name) for name, fault, ends in TABLE]
)
def test_cell(fault: f.Fault, ends: Ends, pace: str, way: str) -> None:
    check_cell(fault, ends, pace, way)


@pytest.mark.parametrize("plain", [True], ids=["plain"], indirect=True)
@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("fault", "ends"),
    [pytest.param(fault, ends, id=name) for name, fault, ends in TABLE if name not in LOSES],
)
def test_plain_cell(fault: f.Fault, ends: Ends, pace: str, plain: bool) -> None:
    check_cell(fault, ends, pace, "async")


@pytest.mark.parametrize("plain", [True], ids=["plain"], indirect=True)
@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("fault", "ends"),
    [pytest.param(fault, ends, id=name) for name, fault, ends in TABLE if name in LOSES],
)
def test_plain_cell_that_may_lose_text(fault: f.Fault, ends: Ends, pace: str, plain: bool) -> None:
    """The caller gets the beginning of the text; a lost end raises ``StreamInterrupted``."""
    with Lab(fault) as lab:
        texts, result, caught = read("async", lab.url, 0.02 if pace == "slow" else 0.0)
        assert texts == ends.texts[: len(texts)]
        if caught is None:
            assert ends.error is None
            assert texts == ends.texts
        else:
            assert type(caught) is StreamInterrupted
            assert caught.partial_text == "".join(texts) == result.text


def check_cell(fault: f.Fault, ends: Ends, pace: str, way: str) -> None:
    with Lab(fault) as lab:
        texts, result, caught = read(way, lab.url, 0.02 if pace == "slow" else 0.0)
        assert type(caught) is (ends.error or type(None)), caught
        assert texts == ends.texts
        assert len(lab.hits) == 1, "a stream is not retried once it is open"
        if caught is None:
            assert result.text == "".join(texts)
            return
        assert isinstance(caught, InferenceKeyError)
        with pytest.raises(type(caught), match=ends.text):
            raise caught
        assert (caught.status, caught.request_id, caught.attempts) == (ends.status, "req-s", 1)
        assert caught.code == ends.code
        assert pickles(caught)
        if isinstance(caught, (StreamInterrupted, GenerationFailed)):
            assert caught.partial_text == ends.partial == result.text
            assert caught.result == result
        assert lab.ended(lab.connections[0])


@pytest.mark.parametrize("way", WAYS)
def test_finish_reason_then_silence_is_complete(way: str) -> None:
    with Lab(f.streams(A, B, STOP, then="hang")) as lab:
        began = time.monotonic()
        texts, result, caught = read(way, lab.url, timeout=0.4)
        assert (texts, result.text, caught) == (["a", "b", ""], "ab", None)
        assert 0.3 < time.monotonic() - began < 3
        assert lab.connections[0].gone.wait(2)


@pytest.mark.parametrize("way", WAYS)
def test_silence_after_some_events(way: str) -> None:
    with Lab(f.streams(A, B, then="hang")) as lab:
        texts, result, caught = read(way, lab.url, timeout=0.4)
        assert (texts, result.text) == (["a", "b"], "ab")
        assert type(caught) is RequestTimeout
        assert lab.connections[0].gone.wait(2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("plain", [False, True], ids=["", "plain"], indirect=True)
def test_a_long_stream_that_dies_loses_nothing_that_arrived(
    plain: bool, pace: str, how: str, way: str
) -> None:
    """More than the buffer of a reader: reading is paused while the connection fails."""
    many = [text(f"{number:05d}" + "x" * 995) for number in range(500)]
    with Lab(f.streams(*many, then=how)) as lab:
        texts, result, caught = read(way, lab.url, 0.001 if pace == "slow" else 0.0)
        assert type(caught) is StreamInterrupted
        assert [int(text[:5]) for text in texts] == list(range(len(texts)))
        assert caught.partial_text == "".join(texts) == result.text
        if how == "close" and not plain:
            assert len(texts) == 500


@pytest.mark.parametrize("way", WAYS)
def test_accepts_an_end_without_done(way: str) -> None:
    with Lab(f.streams(A, B)) as lab:
        texts, _, caught = read(way, lab.url, strict_end=False)
        assert (texts, caught) == (["a", "b"], None)
    for fault in (
        f.streams(A, B, then="close"),
        f.streams(A, B, then="reset"),
        f.streams(A, B, b'data: {"ch'),
    ):
        with Lab(fault) as lab:
            texts, _, caught = read(way, lab.url, strict_end=False)
            assert texts == ["a", "b"]
            assert type(caught) is StreamInterrupted
    with Lab(f.says(b"<html>no</html>", "text/html")) as lab:
        _, _, caught = read(way, lab.url, strict_end=False)
        assert type(caught) is ResponseFormatError


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_without_a_content_type(way: str) -> None:
    async def script(connection: Connection, request: Request, body: bytes) -> None:
        await connection.send(
            head(transfer_encoding="chunked"), chunk(A), chunk(B), chunk(END), chunk(b"")
        )

    with Lab(script) as lab:
        texts, _, caught = read(way, lab.url)
        assert (texts, caught) == (["a", "b", ""], None)


@pytest.mark.parametrize("way", WAYS)
def test_a_gzipped_stream(way: str) -> None:
    with Lab(f.gzips) as lab:
        texts, _, caught = read(way, lab.url)
        assert (texts, caught) == (["Hola", ""], None)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_is_retried_only_before_it_opens(way: str) -> None:
    with Lab(f.refuses(503), times=2) as lab:
        texts, _, caught = read(way, lab.url, retry=RetryPolicy(base=0.001))
        assert (texts, caught) == (["Hola", ""], None)
        assert len(lab.requests) == 3
        assert len({request.headers["idempotency-key"] for request in lab.requests}) == 1
    with Lab(f.streams(A, then="reset"), times=1) as lab:
        _, _, caught = read(way, lab.url, retry=RetryPolicy(base=0.001))
        assert isinstance(caught, TransportError)
        assert len(lab.requests) == 1
