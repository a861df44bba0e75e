"""A chunked body of events, sent on as whole events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey._core.data.sse import SSEDecoder
from inferencekey.local.data_plane.streams.chunked import ChunkedEvents, EventBuffer

EVENTS = st.lists(
    st.sampled_from(
        [
            b'data: {"a": "x"}\n\n',
            b'data: {"a": "\xe2\x80\xa6"}\r\n\r\n',
            b"data: y\r\r",
            b": keep-alive\n\n",
            b"data: 5\r\ndata: 0\n\n",
            b"data: [DONE]\n\n",
        ]
    ),
    max_size=12,
)


def chunked(parts: Iterable[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts if part) + end


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(at)]


def unchunked(data: bytes) -> bytes:
    """Remove the chunks as a strict reader does; the code under test is more tolerant."""
    body = b""
    while data:
        size = re.match(rb"([0-9a-f]+)\r\n", data)
        assert size is not None, data
        end = size.end() + int(size[1], 16)
        assert data[end : end + 2] == b"\r\n"
        body += data[size.end() : end]
        data = data[end + 2 :]
    return body


@given(
    EVENTS, st.lists(st.integers(min_value=0)), st.lists(st.integers(min_value=0)), st.booleans()
)
@example([b"data: x\n\n"] * 3, [], [], True)
def test_sends_the_same_bytes_in_whole_events(
    events: list[bytes], chunk_cuts: list[int], reads: list[int], a_chunk_each: bool
) -> None:
    body = b"".join(events)
    wire = chunked(events if a_chunk_each else cut(body, chunk_cuts))
    chunks, sent = ChunkedEvents(), b""
    for read in cut(wire, reads):
        went = unchunked(chunks.feed(read).lower()) if read else b""
        assert not went or went.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        sent += went
    assert sent + chunks.events.rest.lower() == body.lower()
    assert chunks.ended
    assert chunks.events.complete == bool(events and events[-1] == b"data: [DONE]\n\n")


def test_a_chunk_with_one_event_is_sent_unchanged() -> None:
    """The bytes of the chunk stay the same, also if its size has leading zeros."""
    chunks = ChunkedEvents()
    for wire in (b"0009\r\ndata: x\n\n\r\n", b"9;name=value\r\ndata: y\n\n\r\n"):
        assert chunks.feed(wire) == wire
    assert not chunks.events.complete
    assert chunks.feed(b"e\r\ndata: [DONE]\n\n\r\n") == b"e\r\ndata: [DONE]\n\n\r\n"
    assert chunks.events.complete
    assert not chunks.ended
    assert chunks.feed(b"0\r\n\r\n") == b""
    assert chunks.ended


def test_data_inside_a_chunk_that_looks_like_a_chunk() -> None:
    """A body may hold what looks like a chunk."""
    inner = b"9\r\ndata: x\n\n\r\n"
    chunks = ChunkedEvents()
    assert chunks.feed(b"%x\r\n" % (len(inner) + 11)) == b""
    assert unchunked(chunks.feed(inner)) == b"9\r\ndata: x\n\n"
    assert unchunked(chunks.feed(b"data: abc\n\n\r\n")) == b"\r\ndata: abc\n\n"


def test_trailers_are_not_sent_on() -> None:
    chunks = ChunkedEvents()
    wire = chunked([b"data: x\n\n"], end=b"0\r\nExpires: never\r\nX: y\r\n\r\n")
    assert (
        unchunked(b"".join(chunks.feed(wire[at : at + 1]) for at in range(len(wire))))
        == b"data: x\n\n"
    )
    assert chunks.ended


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\ndata\r\n",
        b"-5\r\ndata: x\n\n\r\n",
        b"0x9\r\ndata: x\n\n\r\n",
        b"\r\n\r\n",
        b"9\ndata: x\n\n\n",
        b"3\r\ndata: x\n\n\r\n",
        b"1" * 2000,
        b"1" * 16 + b"\r\n",
        b"0\r\n" + b"x" * 2000,
    ],
)
def test_a_body_that_is_not_chunked_is_malformed(wire: bytes) -> None:
    chunks = ChunkedEvents()
    assert unchunked(chunks.feed(chunked([b"data: y\n\n"], end=b""))) == b"data: y\n\n"
    assert b"data: y" not in chunks.feed(wire)
    assert chunks.malformed
    assert chunks.feed(chunked([b"data: z\n\n"])) == b"", "nothing after it is read"
    assert not chunks.ended


def test_events_before_a_malformed_chunk_are_sent() -> None:
    chunks = ChunkedEvents()
    assert unchunked(chunks.feed(chunked([b"data: y\n\n"], end=b"zz\r\n"))) == b"data: y\n\n"
    assert chunks.malformed


# Whole events of a body without chunks

STREAMS = [
    b'data: {"a": 1}\n\ndata: {"b": "\xc3\xa9"}\n\n: comment\n\ndata: [DONE]\n\n',
    b'data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n',
    b"event: x\ndata: 1\ndata: 2\n\ndata: [DONE]\n\n",
]


@given(st.sampled_from(STREAMS), st.data())
def test_events_stay_whole_and_unchanged_for_all_splits(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    events, sent = EventBuffer(), []
    for part in parts:
        out = events.feed(part)
        decoder = SSEDecoder()
        decoder.feed(out)
        assert not decoder.pending, "half an event was sent"
        sent.append(out)
    assert b"".join(sent) == whole
    assert events.complete


@pytest.mark.parametrize(
    ("stream", "complete"),
    [
        (b"", False),
        (b'data: {"a": 1}\n\n', False),
        (b"data: [DONE]", False),
        (b"data: [DONE]\n\n", True),
        (b"data:[DONE]\r\n\r\n", True),
        (b'data: {"text": "[DONE]"}\n\n', False),
        (b'data: {"error": {"message": "x"}}\n\n', True),
        (b'data: {"error": 1}\n\ndata: {"a": 1}\n\n', False),
    ],
)
def test_when_a_stream_is_complete(stream: bytes, complete: bool) -> None:
    events = EventBuffer()
    events.feed(stream)
    assert events.complete is complete


def test_an_event_that_is_too_long_is_dropped() -> None:
    events = EventBuffer()
    for _ in range(40):
        assert events.feed(b"x" * 1024 * 1024) == b""
        assert len(events._rest) <= 16 * 1024 * 1024
    assert not events.complete
