"""Chunks that are not parsed are read as if they were."""

from __future__ import annotations

import copy
import json
import pickle
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._core.data.fast_chunks import ChunkPattern
from inferencekey._core.data.sse import Event, SSEDecoder
from inferencekey.errors import GenerationFailed, InferenceKeyError, ResponseFormatError
from inferencekey.models import TextChunk


def chunk(text: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        **fields,
    }


def one_by_one(events: list[bytes]) -> tuple[list[Any], Any, str | None]:
    stream, chunks = ChatStream(), []
    try:
        for event in events:
            taken = stream.take(Event(event))
            if stream.done:
                break
            if taken is None:
                continue  # junk after the end of the text
            chunks.append((taken.text, taken.finish_reason, taken.raw))
    except InferenceKeyError as error:
        return chunks, stream.result(), f"{type(error).__name__}: {error}"
    return chunks, stream.result(), None


def at_once(events: list[Any]) -> tuple[list[Any], Any, str | None]:
    stream = ChatStream()
    chunks: list[TextChunk] = []
    failure = None
    try:
        stream.take_all(events, chunks)
    except InferenceKeyError as error:
        failure = f"{type(error).__name__}: {error}"
    return [(one.text, one.finish_reason, one.raw) for one in chunks], stream.result(), failure


TEXTS = st.text(st.sampled_from('ab "\\\n\té\u2028\x00\x7f🎉{}[]:,'), max_size=6) | st.text(
    max_size=4
)
CHUNKS = st.builds(chunk, TEXTS) | st.builds(chunk, TEXTS, created=st.integers(0, 3))
ODD = st.sampled_from(
    [
        b"[DONE]",
        b"{",
        b"[]",
        orjson.dumps({"error": {"message": "no"}}),
        orjson.dumps({"choices": []}),
        orjson.dumps(chunk("a", usage={"prompt_tokens": 3})),
        orjson.dumps(chunk("a", error=None)),
        orjson.dumps(chunk("a", content="a")),
        orjson.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        orjson.dumps(chunk("ab")).replace(b"ab", b"\xff"),
        orjson.dumps(chunk("ab")).replace(b"ab", b"a\nb"),
        orjson.dumps(chunk("ab")).replace(b"ab", b'a","role":"b'),
        orjson.dumps(chunk("ab"))[:-1],
        json.dumps(chunk("a")).encode(),
        orjson.dumps(chunk("a", model="m")),
        orjson.dumps(chunk("a", model=3)),
        orjson.dumps({"choices": {"0": 1}}),
        orjson.dumps({"choices": [{"delta": {"content": ["a"]}}]}),
        orjson.dumps(chunk("ab")).replace(b"null", b'"stop"'),
        orjson.dumps(chunk("ab")).replace(b"null", b'""'),
        orjson.dumps(chunk("ab")).replace(b'"index":0', b'"index":1.0'),
        orjson.dumps(chunk("ab")).replace(b'"content":"ab"', b'"content":"ab","content":"cd"'),
        orjson.dumps(chunk("ab")).replace(
            b'"choices":', b'"choices":[{"delta":{"content":"x"}}],"choices":'
        ),
        orjson.dumps(chunk("ab")).replace(
            b'"content":"ab"', b'"content":null,"tool_calls":[{"index":0}]'
        ),
        orjson.dumps(chunk("ab")).replace(
            b'"content":"ab"', b'"content":"ab","reasoning_content":"c"'
        ),
        orjson.dumps(chunk("ab")).replace(
            b"null", b'null,"logprobs":{"content":[{"token":"ab","logprob":-1e-3}]}'
        ),
        orjson.dumps(chunk("ab", error=False)),
        orjson.dumps(chunk("ab", usage={})),
        orjson.dumps(chunk("ab", error={"message": "no"})),
        b"null",
        b"",
    ]
)


@given(st.lists(CHUNKS.map(orjson.dumps) | ODD, max_size=12))
@example([orjson.dumps(chunk("a")), orjson.dumps(chunk("a")).replace(b'"a"', b'""')])
@example([orjson.dumps(chunk("a", created=n)) for n in range(9)])
def test_many_events_give_the_same_as_one_by_one(events: list[bytes]) -> None:
    assert at_once(events) == at_once([Event(event) for event in events]) == one_by_one(events)


LIKE = orjson.dumps(chunk("some words"))


@given(
    st.binary(max_size=3)
    | st.sampled_from([b'"', b"\\", b'","a":"', b"\xc3\xa9", b"\xed\xa0\x80"]),
    st.data(),
)
def test_a_chunk_that_is_nearly_like_the_previous_one(noise: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LIKE)))
    other = LIKE[:at] + noise + LIKE[at + data.draw(st.integers(0, 3)) :]
    assert at_once([LIKE, other, LIKE]) == one_by_one([LIKE, other, LIKE])


def test_an_error_event_is_never_read_as_a_chunk() -> None:
    chunks: list[TextChunk] = []
    with pytest.raises(GenerationFailed):
        ChatStream().take_all(
            [orjson.dumps(chunk("a")), Event(orjson.dumps(chunk("b")), "error")], chunks
        )
    assert [one.text for one in chunks] == ["a"]


@pytest.mark.parametrize("shape", [orjson.dumps, lambda value: json.dumps(value).encode()])
def test_a_chunk_like_the_previous_one_is_parsed_when_raw_is_read(shape: Any) -> None:
    stream = ChatStream()
    chunks: list[TextChunk] = []
    stream.take_all([shape(chunk(text)) for text in ("one", "two", "drei")], chunks)
    kept = [TextChunk(one.text, None, chunk(one.text)) for one in chunks]
    assert [one.text for one in chunks] == ["one", "two", "drei"]
    assert chunks == kept
    assert chunks[2].raw is chunks[2].raw
    assert [pickle.loads(pickle.dumps(one)) for one in chunks] == kept
    assert repr(chunks[1]) == repr(kept[1]) == "TextChunk(text='two', finish_reason=None)"
    assert [copy.copy(one) for one in chunks] == [copy.deepcopy(one) for one in chunks] == kept
    with pytest.raises(AttributeError, match="no attribute 'rawer'"):
        _ = chunks[1].rawer  # type: ignore[attr-defined]
    assert stream.result().raw == chunk("drei")


def test_done_ends_it_and_what_follows_is_not_read() -> None:
    chunks: list[TextChunk] = []
    stream = ChatStream()
    assert stream.take_all([orjson.dumps(chunk("a")), b"[DONE]", orjson.dumps(chunk("b"))], chunks)
    assert [one.text for one in chunks] == ["a"]
    assert stream.done


def test_a_change_of_raw_is_kept_and_belongs_to_its_chunk() -> None:
    stream, chunks = ChatStream(), list[TextChunk]()
    stream.take_all([orjson.dumps(chunk(text)) for text in "ab"], chunks)
    chunks[1].raw["seen"] = True
    assert chunks[1].raw["seen"]
    assert chunks[1] != TextChunk("b", None, chunk("b"))
    assert "seen" not in stream.result().raw


def test_a_chunk_keeps_only_its_own_bytes_alive() -> None:
    def kept() -> TextChunk:
        read = b"".join(
            b"data: %b\n\n" % orjson.dumps(chunk(f"word {n} " + "x" * 100)) for n in range(5000)
        )
        chunks: list[TextChunk] = []
        ChatStream().take_all(SSEDecoder().feed_plain(read), chunks)
        return chunks[2500]

    tracemalloc.start()
    one = kept()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert one.text.startswith("word 2500 ")
    assert size < 20_000  # a read of 1 MB


@pytest.mark.parametrize(
    "fields",
    [{"logprobs": {"content": []}}, {"note": "\\n"}, {"content": "a"}],
)
def test_a_chunk_whose_text_is_not_certain_has_no_pattern(fields: dict[str, Any]) -> None:
    assert ChunkPattern.of(orjson.dumps(chunk("a", **fields)), "a") is None


def test_a_key_with_space_before_its_text_has_no_pattern() -> None:
    assert ChunkPattern.of(b'{"choices":[{"delta":{"content"\t:"a"}}]}', "a") is None


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the chunks that were looked at for a pattern."""
    texts: list[str] = []
    original = ChunkPattern.of

    def of(data: bytes, text: str) -> ChunkPattern | None:
        texts.append(text)
        return original(data, text)

    monkeypatch.setattr(ChunkPattern, "of", of)
    return texts


def test_stops_looking_for_a_pattern_if_every_chunk_is_different(learnt: list[str]) -> None:
    ChatStream().take_all([orjson.dumps(chunk("a", created=n)) for n in range(50)], [])
    assert len(learnt) == 4


def test_the_first_model_named_is_the_streams() -> None:
    stream = ChatStream()
    stream.take_all(
        [orjson.dumps(chunk("a", **fields)) for fields in ({}, {"model": "m-1"}, {"model": "m-2"})],
        [],
    )
    assert stream.result().model == "m-1"


def test_the_pattern_of_a_stream_that_begins_with_line_ends(learnt: list[str]) -> None:
    ChatStream().take_all(
        [orjson.dumps(chunk(text)) for text in ["\n"] * 6 + list("abc") + ["\n", "d"]], []
    )
    assert learnt == ["\n"] * 6 + ["a", "\n"]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (orjson.dumps(chunk("ab")).replace(b'"ab"', b"\xff"), ResponseFormatError),
        (b'{"error":"no"}', GenerationFailed),
    ],
)
def test_chunks_before_a_failure_are_delivered(last: bytes, error: type[Exception]) -> None:
    chunks: list[TextChunk] = []
    with pytest.raises(error):
        ChatStream().take_all([*(orjson.dumps(chunk(text)) for text in "abc"), last], chunks)
    assert [one.text for one in chunks] == ["a", "b", "c"]
