"""The event-stream decoder against the WHATWG standard, under every split of the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey._core.data.sse import MAX_EVENT_SIZE, Event, EventTooLarge, SSEDecoder

Cuts = Callable[[bytes], Iterator[list[bytes]]]


def decode(*pieces: bytes) -> list[Event]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def by_the_standard(stream: bytes) -> tuple[list[Event], int | None]:
    """The standard's own words, line by line, on the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf")
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    lines.pop()  # what follows the last line end is no line
    events: list[Event] = []
    data, kind, last_id, retry = b"", "", "", None
    for line in lines:
        if line == b"":
            if data != b"":
                events.append(Event(data.removesuffix(b"\n"), kind or "message", last_id))
            data, kind = b"", ""
            continue
        if line.startswith(b":"):
            continue
        field, value = line, b""
        if b":" in line:
            at = line.index(b":")
            field, value = line[:at], line[at + 1 :]
            if value[:1] == b" ":
                value = value[1:]
        if field == b"event":
            kind = value.decode("utf-8", "replace")
        elif field == b"data":
            data += value + b"\n"
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value and all(c in b"0123456789" for c in value):
            retry = int(value[:9])
    return events, retry


TABLE = [
    pytest.param(
        b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event(b"YHOO\n+2\n10")], id="several data lines"
    ),
    pytest.param(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third "
        b"event\n\n",
        [Event(b"first event", id="1"), Event(b"second event"), Event(b" third event")],
        id="comment, id, id reset, one space only",
    ),
    pytest.param(b"data\n\ndata\ndata\n\ndata:", [Event(b""), Event(b"\n")], id="empty data"),
    pytest.param(
        b"data:test\n\ndata: test\n\n", [Event(b"test"), Event(b"test")], id="the space is optional"
    ),
    pytest.param(
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        [Event(b"73857293", "add"), Event(b"2153", "remove")],
        id="types",
    ),
    pytest.param(
        b"event: x\n\ndata: a\n\n",
        [Event(b"a")],
        id="a type without data does not reach the next event",
    ),
    pytest.param(b"event:\ndata: a\n\n", [Event(b"a")], id="empty type is message"),
    pytest.param(
        b"event: one\nevent: two\ndata: a\n\n", [Event(b"a", "two")], id="the last type counts"
    ),
    pytest.param(
        b"id: 7\n\ndata: a\n\ndata: b\n\n",
        [Event(b"a", id="7"), Event(b"b", id="7")],
        id="id stays",
    ),
    pytest.param(
        b"id: 7\ndata: a\n\nid: 8\x00\ndata: b\n\n",
        [Event(b"a", id="7"), Event(b"b", id="7")],
        id="NUL in id",
    ),
    pytest.param(b"data: a\nid: 7\n\n", [Event(b"a", id="7")], id="id after data"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(b"a"), Event(b"b")], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")], id="CR"),
    pytest.param(
        b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n",
        [Event(b"a"), Event(b"b"), Event(b"c")],
        id="mixed",
    ),
    pytest.param(
        b"data: a\n\n\n\n\r\n\r\rdata: b\n\n", [Event(b"a"), Event(b"b")], id="many blank lines"
    ),
    pytest.param(b"\n\n\ndata: a\n\n", [Event(b"a")], id="blank lines first"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")], id="BOM"),
    pytest.param(
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event(b"b")], id="only one BOM goes"
    ),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"a")], id="a BOM later is text"),
    pytest.param(b"\xef\xbbdata: a\n\ndata: b\n\n", [Event(b"b")], id="half a BOM is text"),
    pytest.param(
        b": ping\n\n:\n\n: OPENROUTER PROCESSING\n\ndata: a\n\n", [Event(b"a")], id="keep-alives"
    ),
    pytest.param(
        b": ping\ndata: a\n: pong\ndata: b\n\n", [Event(b"a\nb")], id="comments inside an event"
    ),
    pytest.param(
        b'foo: 1\n{"error": 1}\nDATA: x\n data: y\ndata : z\ndata: a\n\n',
        [Event(b"a")],
        id="unknown fields",
    ),
    pytest.param(b"data: a:b: c\n\n", [Event(b"a:b: c")], id="colons in the value"),
    pytest.param(b"data:\ta\n\n", [Event(b"\ta")], id="a tab is no space"),
    pytest.param("data: ñ 日本 🎉\n\n".encode(), [Event("ñ 日本 🎉".encode())], id="UTF-8"),
    pytest.param(b"event: \xff\ndata: \xff\n\n", [Event(b"\xff", "\ufffd")], id="not UTF-8"),
    pytest.param(
        "data: a\u2028b\x0b\x0c\x85c\n\n".encode(),
        [Event("a\u2028b\x0b\x0c\x85c".encode())],
        id="other line ends",
    ),
    pytest.param(b"data: a", [], id="no line end"),
    pytest.param(b"data: a\n", [], id="no blank line"),
    pytest.param(b"", [], id="nothing"),
]


@pytest.mark.parametrize(("stream", "events"), TABLE)
def test_events_are_the_standards_for_every_cut(
    stream: bytes, events: list[Event], cuts: Cuts
) -> None:
    assert by_the_standard(stream)[0] == events
    for pieces in cuts(stream):
        assert decode(*pieces) == events, pieces


@pytest.mark.parametrize(
    ("stream", "retry"),
    [
        (b"retry: 1500\n\n", 1500),
        (b"retry:7\ndata: a\n\n", 7),
        (b"retry: 1500\n\nretry: 20\n\n", 20),
        (b"retry: 1500\n\nretry: soon\n\n", 1500),
        (b"retry: 1.5\n\n", None),
        (b"retry: -1\n\n", None),
        (b"retry\n\n", None),
        ("retry: ٣\n\n".encode(), None),
        (b"retry: " + b"9" * 5000 + b"\n\n", 999999999),
    ],
)
def test_retry_counts_only_when_all_digits(stream: bytes, retry: int | None) -> None:
    decoder = SSEDecoder()
    decoder.feed(stream)
    assert decoder.retry == retry == by_the_standard(stream)[1]


FRAGMENTS = st.sampled_from(
    b"data,event,id,retry,:,: , "
    b",a,12,\n,\r,\r\n,\n\n,\0,\xef,\xbb,\xbf,\xef\xbb\xbf,\xc3\xa9,data: x\n\n,data: "
    b"y\r\n\r\n".split(b",")
)
STREAMS = st.lists(FRAGMENTS, max_size=40).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(STREAMS)
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    ends = [*places, len(stream)]
    return [stream[begin:end] for begin, end in zip([0, *places], ends, strict=True)]


@given(cut_streams())
@example([b"\xef", b"\xbb", b"", b"\xbfdata: a\r", b"", b"\n\r", b"\n"])
def test_any_cut_of_any_stream_decodes_as_in_the_standard(pieces: list[bytes]) -> None:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert (events, decoder.retry) == by_the_standard(b"".join(pieces))


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_bytes_at_all_decode(noise: bytes, at: int) -> None:
    assert decode(noise[:at], noise[at:]) == by_the_standard(noise)[0]


@given(STREAMS)
def test_finish_returns_the_event_that_a_blank_line_would_have_ended(
    stream: bytes,
) -> None:
    decoder = SSEDecoder()
    events = decoder.feed(stream)
    left = decoder.finish()
    assert events + ([] if left is None else [left]) == by_the_standard(stream + b"\n\n")[0]
    assert decoder.finish() is None
    assert not decoder.pending


@pytest.mark.parametrize(
    ("stream", "pending", "left"),
    [
        (b"", False, None),
        (b"data: a\n\n", False, None),
        (b"data: a\n\n\n", False, None),
        (b"data: a\n\ndat", True, None),
        (b"data: a\n\n: ping\n", True, None),
        (b"data: a\n\ndata: [DONE]", True, Event(b"[DONE]")),
        (b"data: a\n\ndata: [DONE]\r\n", True, Event(b"[DONE]")),
        (b'data: a\n\nevent: error\ndata: {"half', True, Event(b'{"half', "error")),
        (b"\xef\xbb", True, None),
    ],
)
def test_trailing_bytes_are_reported_but_are_not_an_event(
    stream: bytes, pending: bool, left: Event | None, cuts: Cuts
) -> None:
    for pieces in cuts(stream):
        decoder = SSEDecoder()
        for piece in pieces:
            assert all(event == Event(b"a") for event in decoder.feed(piece))
        assert decoder.pending is pending
        assert decoder.finish() == left


def test_an_event_is_returned_as_soon_as_its_blank_line_has_begun() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [Event(b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [Event(b"b")]


def until_too_large(pieces: list[bytes], cap: int) -> tuple[list[Event], bool]:
    decoder, events = SSEDecoder(cap), []
    for piece in pieces:
        try:
            events += decoder.feed(piece)
        except EventTooLarge:
            with pytest.raises(EventTooLarge, match=f"an event is longer than {cap} bytes"):
                decoder.feed(b"data: b\n\n")
            return events, True
    return events, False


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("before", [b"", b"\n", b"data: a\n\n", b"data: a\r\n\r\n\r\n"])
def test_the_limit_is_at_the_same_byte_for_every_cut(before: bytes, end: bytes, cuts: Cuts) -> None:
    good = [Event(b"a")] if b"a" in before else []
    for pieces in cuts(before + b"data: 3456789" + end + b": and on"):
        assert until_too_large(pieces, 13) == ([*good, Event(b"3456789")], False)
    for pieces in cuts(before + b"data: 34567890" + end + b": and on"):
        # Whole in one piece, the refusal waits until the events before it were taken.
        events, refused = until_too_large([*pieces, b"data: b\n\n"], 13)
        assert (events, refused) == (good, True), pieces


@pytest.mark.parametrize(
    "long", [b"data: 34567890", b"data: 34567890\n\n", b"data: 34567890\n\ndata: b\n\n"]
)
def test_events_before_one_that_is_too_large_are_returned(long: bytes) -> None:
    decoder = SSEDecoder(13)
    assert decoder.feed(b"data: a\n\n" + long) == [Event(b"a")]
    assert decoder.finish() is not None, "a stream that ends here was cut"
    with pytest.raises(EventTooLarge):
        decoder.feed(b"")


def test_an_unfinished_line_has_a_limit() -> None:
    assert until_too_large([b"data: ", *[b"x" * 10] * 99], 1000) == ([], False)
    assert until_too_large([b"data: ", *[b"x" * 10] * 100], 1000) == ([], True)


def test_a_large_event_in_many_pieces_is_whole() -> None:
    text = b"0123456789" * 60_000
    stream = b"data: " + text + b"\n\n"
    pieces = [stream[at : at + 4096] for at in range(0, len(stream), 4096)]
    assert decode(*pieces) == [Event(text)]
    assert MAX_EVENT_SIZE == 16 * 1024 * 1024


def test_an_event_compares_and_shows_itself() -> None:
    assert repr(Event(b"a", "error", "7")) == "Event(data=b'a', event='error', id='7')"
    assert Event(b"a") != Event(b"a", id="7")
    assert Event(b"a") != b"a"
