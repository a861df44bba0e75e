"""A chunked body of events, passed on in whole events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey.local.data_plane.chunked import Passing

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
    """As a strict reader takes it, which the code under test is not."""
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
def test_what_goes_on_is_what_came_in_whole_events(
    events: list[bytes], chunks: list[int], reads: list[int], a_chunk_each: bool
) -> None:
    body = b"".join(events)
    wire = chunked(events if a_chunk_each else cut(body, chunks))
    passing, sent = Passing(), b""
    for read in cut(wire, reads):
        went = unchunked(passing.feed(read).lower()) if read else b""
        assert not went or went.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        sent += went
    assert sent + passing.events.rest.lower() == body.lower()
    assert passing.over
    assert passing.events.complete == bool(events and events[-1] == b"data: [DONE]\n\n")


def test_one_event_a_read_goes_on_as_it_is() -> None:
    """The chunk's own bytes, however its size is written."""
    passing = Passing()
    for wire in (b"0009\r\ndata: x\n\n\r\n", b"9;name=value\r\ndata: y\n\n\r\n"):
        assert passing.feed(wire) == wire
    assert not passing.events.complete
    assert passing.feed(b"e\r\ndata: [DONE]\n\n\r\n") == b"e\r\ndata: [DONE]\n\n\r\n"
    assert passing.events.complete
    assert not passing.over
    assert passing.feed(b"0\r\n\r\n") == b""
    assert passing.over


def test_what_looks_like_one_chunk_and_begins_in_another_is_none() -> None:
    """A body may hold what looks like a chunk."""
    inner = b"9\r\ndata: x\n\n\r\n"
    passing = Passing()
    assert passing.feed(b"%x\r\n" % (len(inner) + 11)) == b""
    assert unchunked(passing.feed(inner)) == b"9\r\ndata: x\n\n"
    assert unchunked(passing.feed(b"data: abc\n\n\r\n")) == b"\r\ndata: abc\n\n"


def test_trailers_are_not_passed_on() -> None:
    passing = Passing()
    wire = chunked([b"data: x\n\n"], end=b"0\r\nExpires: never\r\nX: y\r\n\r\n")
    assert (
        unchunked(b"".join(passing.feed(wire[at : at + 1]) for at in range(len(wire))))
        == b"data: x\n\n"
    )
    assert passing.over


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
def test_what_is_not_chunked_is_seen(wire: bytes) -> None:
    passing = Passing()
    assert unchunked(passing.feed(chunked([b"data: y\n\n"], end=b""))) == b"data: y\n\n"
    assert b"data: y" not in passing.feed(wire)
    assert passing.bad
    assert passing.feed(chunked([b"data: z\n\n"])) == b"", "nothing after it is read"
    assert not passing.over


def test_what_came_before_it_goes_on() -> None:
    passing = Passing()
    assert unchunked(passing.feed(chunked([b"data: y\n\n"], end=b"zz\r\n"))) == b"data: y\n\n"
    assert passing.bad
