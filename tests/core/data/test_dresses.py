"""What engines and proxies send in place of a chat completion, or around it, at every cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.data.chat_response import text_result
from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._core.data.documents import DOCUMENT_LIMIT, document_error, is_document
from inferencekey._core.data.sse import Event, SSEDecoder, looks_like_events
from inferencekey.errors import (
    GenerationFailed,
    InferenceKeyError,
    ResponseFormatError,
    StreamInterrupted,
)
from inferencekey.models import TextChoice, TextChunk, TextResult

Cuts = Callable[[bytes], Iterator[list[bytes]]]

ERRORS = [
    b'{"error": {"message": "out of memory", "code": 500}}',
    b'{"error": "out of memory"}',
    b'{"object": "error", "message": "out of memory", "type": "x", "code": 40303}',
    b'{"detail": "out of memory"}',
    b'{"detail": [{"loc": ["body"], "msg": "out of memory"}]}',
    b'{"message": "out of memory"}',
    b'{"msg": "out of memory", "code": 500}',
    b'{"errors": [{"message": "out of memory"}]}',
    b'{"type": "error", "error": {"message": "out of memory"}}',
    b'{"status": "error", "reason": "out of memory"}',
    b'{"error": {"message": "out of memory \xff", "logprob": NaN}}',
]
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def choice(index: int | None, text: Any = None, reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": reason}


def event(*choices: dict[str, Any], **fields: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": choices, **fields}) + b"\n\n"


def stream(*pieces: bytes) -> tuple[list[TextChunk], ChatStream]:
    """Read pieces as a client does, and end."""
    decoder, chat = SSEDecoder(loose=True), ChatStream(request_id="r-1")
    chunks: list[TextChunk] = []
    for piece in pieces:
        if chat.take_all(decoder.feed_plain(piece), chunks):
            return chunks, chat
    chat.end(chat.take_rest(decoder.rest()))
    return chunks, chat


def one_by_one(data: bytes) -> ChatStream:
    decoder, chat = SSEDecoder(loose=True), ChatStream()
    for one in decoder.feed(data):
        chat.take(one)
        if chat.done:
            return chat
    chat.end(chat.take_rest(decoder.rest()))
    return chat


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "frame",
    [
        b"data: %s\n\n",
        b"event: error\ndata: %s\n\n",
        b"event: Error\r\ndata: %s\r\n\r\n",
        b"event: ping\ndata: %s\n\n",
        b"error: %s\n\n",
        b"error:%s\n\n",
        b"Error: %s\r\r",
        b"%s\n\n",
        b"%s\n",
        b": keep\n%s\n",
        b"error: %s",
        b"%s",
        b"data: %s",
    ],
)
@pytest.mark.parametrize("end", [b"", DONE])
def test_an_error_in_a_stream_in_any_dress(frame: bytes, error: bytes, end: bytes) -> None:
    if (b"event: ping" in frame) and b'"error"' not in error:
        return  # a ping that is no error
    if not frame.endswith((b"\n", b"\r")):
        end = b""
    body = TEXT % b"Ho" + TEXT % b"la" + frame % error + end
    for cut in (len(body) // 2, len(body) - 3, len(body)):
        with pytest.raises(GenerationFailed, match="out of memory") as caught:
            stream(body[:cut], body[cut:])
        assert caught.value.partial_text == "Hola"
        assert caught.value.request_id == "r-1"
    with pytest.raises(GenerationFailed, match="out of memory"):
        one_by_one(body)


def test_an_error_in_a_stream_at_every_cut(cuts: Cuts) -> None:
    body = TEXT % b"Ho" + b'error: {"message": "broken"}\n\n' + DONE
    for pieces in cuts(body):
        with pytest.raises(GenerationFailed, match="broken"):
            stream(*pieces)


@pytest.mark.parametrize(
    "words",
    [
        b"Internal Server Error: out of memory\n",
        b"out of memory",
        b"<html><body>out of memory</body></html>\n",
        b"Traceback (most recent call last):\n  File x\nRuntimeError: out of memory\n\n",
    ],
)
@pytest.mark.parametrize("before", [b"", TEXT % b"Ho"])
@pytest.mark.parametrize("end", [b"", b"\n\n" + DONE])
def test_words_outside_of_events_are_in_the_error(
    words: bytes, before: bytes, end: bytes, cuts: Cuts
) -> None:
    for pieces in cuts(before + words + end):
        with pytest.raises(StreamInterrupted, match="out of memory") as caught:
            stream(*pieces)
        assert caught.value.partial_text == ("Ho" if before else "")


def test_json_lines_are_said() -> None:
    lines = b'{"choices":[{"index":0,"delta":{"content":"a"}}]}\n' * 3
    with pytest.raises(ResponseFormatError, match="JSON lines"):
        stream(lines)
    with pytest.raises(GenerationFailed, match="no memory"):
        stream(lines + b'{"error": "no memory"}\n')


@pytest.mark.parametrize("event_type", [b"", b"event: ping\n", b"event: heartbeat\r\n"])
@pytest.mark.parametrize("data", [b"", b"data:\n", b"data: \n", b"data:   \ndata\n"])
def test_empty_events_keep_alive(event_type: bytes, data: bytes, cuts: Cuts) -> None:
    empty = event_type + data + b"\n"
    body = empty + TEXT % b"Ho" + empty + empty + TEXT % b"la" + empty + STOP + empty + DONE
    for pieces in cuts(body):
        chunks, chat = stream(*pieces)
        assert [chunk.text for chunk in chunks] == ["Ho", "la", ""]
        assert chat.result().text == "Hola"
        assert chat.done
    assert SSEDecoder(loose=True).feed(empty) == []


@pytest.mark.parametrize("data", [b"{}", b"2026-01-01", b'{"type": "ping"}', b"[1]", b"null"])
def test_a_ping_may_say_anything(data: bytes) -> None:
    chunks, chat = stream(TEXT % b"Ho" + b"event: ping\ndata: " + data + b"\n\n" + STOP)
    assert [chunk.text for chunk in chunks] == ["Ho", ""]
    assert chat.complete
    chunks, _ = stream(b"event: ping\n" + TEXT % b"Ho" + STOP)
    assert chunks[0].text == "Ho", "it has a choice, so it is a chunk"


@pytest.mark.parametrize(
    "junk",
    [
        b"data: what?\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
        b'data: {"choices": 5}\n\n',
        b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        b"junk\n\n",
        b"foo: bar\n\n",
        b'{"choices": []}\n\n',
        b"data: {\n\n",
        b"data: half",
        b"\x00\x01",
    ],
)
def test_junk_after_the_end_of_the_text_is_passed_over(junk: bytes, cuts: Cuts) -> None:
    for pieces in cuts(TEXT % b"Hola" + STOP + junk):
        assert stream(*pieces)[1].result().text == "Hola"
    _, chat = stream(TEXT % b"Hola" + DONE + junk + b"\n\ndata: {")
    assert chat.done
    assert one_by_one(TEXT % b"Hola" + STOP + junk).complete


def test_an_error_after_the_finish_reason_is_raised() -> None:
    with pytest.raises(GenerationFailed, match="no usage"):
        stream(TEXT % b"Hola" + STOP + b'data: {"error": "no usage"}\n\n' + DONE)


def test_an_unknown_field_is_ignored() -> None:
    chunks, _ = stream(b"trace: 12\n\nspan: x\n" + TEXT % b"a" + DONE)
    assert [chunk.text for chunk in chunks] == ["a"]


@given(
    st.permutations([0, 0, 0, 0, 1, 1, 1, 2, 2]),
    st.lists(st.integers(1, 3), min_size=9, max_size=9),
    st.booleans(),
)
def test_only_the_choice_with_index_0_is_the_text(
    order: Sequence[int], sizes: list[int], backwards: bool
) -> None:
    texts = {0: ["A ", "cat", " is", " a"], 1: ["one", " \\", "1"], 2: ["two", '"2']}
    left = {index: iter(parts) for index, parts in texts.items()}
    items = [choice(index, next(left[index])) for index in order]
    events, at = b"", 0
    for size in sizes:
        batch = items[at : at + size]
        if backwards and len({one["index"] for one in batch}) == len(batch):
            batch.reverse()
        if batch:
            events += event(*batch, model="m")
        at += size
    ends = [event(choice(index, reason=f"r{index}")) for index in (2, 0, 1)]
    chunks, chat = stream(events, *ends, DONE)
    result = chat.result()
    assert result.text == "A cat is a" == "".join(chunk.text for chunk in chunks)
    assert result.finish_reason == "r0"
    assert result.choices == (TextChoice(1, "one \\1", "r1"), TextChoice(2, 'two"2', "r2"))
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["r0"]


@pytest.mark.parametrize("reason", ["stop", "error"])
def test_another_choice_that_ends_does_not_end_the_stream(reason: str) -> None:
    with pytest.raises(StreamInterrupted) as caught:
        stream(event(choice(0, "a"), choice(1, "b", reason)))
    assert caught.value.partial_text == "a"
    assert caught.value.result is not None
    assert caught.value.result.choices == (TextChoice(1, "b", reason),)


def test_a_choice_without_an_index_has_its_place() -> None:
    chunks, chat = stream(event(choice(None, "a"), choice(None, "b")) + STOP)
    assert [chunk.text for chunk in chunks] == ["a", ""]
    assert chat.result().choices == (TextChoice(1, "b", None),)


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_choices_of_a_whole_answer_in_any_order(order: tuple[int, ...]) -> None:
    found = [
        {"index": index, "message": {"content": "abc"[index]}, "finish_reason": f"r{index}"}
        for index in order
    ]
    body = orjson.dumps({"choices": found})
    assert text_result(body) == TextResult(
        "a",
        None,
        "r0",
        None,
        orjson.loads(body),
        None,
        (TextChoice(1, "b", "r1"), TextChoice(2, "c", "r2")),
    )


def test_a_whole_answer_without_the_choice_with_index_0() -> None:
    with pytest.raises(ResponseFormatError, match="no choice with index 0"):
        text_result(b'{"choices": [{"index": 1, "message": {"content": "a"}}]}')


PARTS = [
    ([{"type": "text", "text": "Ho"}, {"type": "text", "text": "la"}], "Hola"),
    ([{"text": "Ho"}, "la"], "Hola"),
    ([{"type": "thinking", "thinking": "hm"}, {"type": "output_text", "text": "a"}], "a"),
    ([{"type": "image_url", "image_url": {}}], ""),
    ({"type": "text", "text": "a"}, "a"),
    ([], ""),
    (None, ""),
]


@pytest.mark.parametrize(("content", "text"), PARTS)
def test_a_content_that_is_a_list_of_parts(content: Any, text: str) -> None:
    body = {"choices": [{"index": 0, "message": {"content": content}}]}
    assert text_result(orjson.dumps(body)).text == text
    assert stream(event(choice(0, content)), STOP)[1].result().text == text


@pytest.mark.parametrize("content", [[5], [{"type": "text"}], [{"text": 5}], 5, True, False, {}])
def test_a_content_that_is_no_text(content: Any) -> None:
    body = {"choices": [{"index": 0, "message": {"content": content}}]}
    for read in (
        lambda: text_result(orjson.dumps(body)),
        lambda: stream(event(choice(0, content))),
    ):
        with pytest.raises(ResponseFormatError, match="content"):
            read()


def escaped(text: str) -> list[bytes]:
    units = text.encode("utf-16-be")
    return [b"\\u" + units[at : at + 2].hex().encode() for at in range(0, len(units), 2)]


def raw_bytes(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


@pytest.mark.parametrize("cut", [escaped, raw_bytes])
@given(
    text=st.text(st.sampled_from("aé日😀𝄞\u00ff"), min_size=1, max_size=6),
    places=st.lists(st.integers(0, 30), max_size=5),
    rest=st.booleans(),
)
def test_characters_that_are_cut_are_joined(
    cut: Callable[[str], list[bytes]], text: str, places: list[int], rest: bool
) -> None:
    units = cut(text)
    ends = sorted({min(place, len(units)) for place in places} | {len(units)})
    parts = [b"".join(units[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    body = b"".join(TEXT % b"plain" + TEXT % part for part in parts[:1]) + b"".join(
        event(choice(1, "other")) * rest + TEXT % part for part in parts[1:]
    )
    chunks, chat = stream(body + STOP)
    assert chat.result().text == "plain" + text == "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("half", [b"\\ud83d", b"\xf0\x9f", b"\xff", b"\\ude00"])
@pytest.mark.parametrize("end", [STOP, DONE, STOP + DONE])
def test_half_a_character_at_the_end(half: bytes, end: bytes) -> None:
    chunks, chat = stream(TEXT % (b"Hola" + half) + end)
    assert chat.result().text == "Hola\ufffd" == "".join(chunk.text for chunk in chunks)
    for chunk in chunks:
        orjson.dumps([chunk.text, chunk.raw])
    whole = b'{"choices":[{"index":0,"message":{"content":"Hola' + half + b'"}}]}'
    result = text_result(whole)
    assert result.text == "Hola\ufffd"
    orjson.dumps(result.raw)
    chat = ChatStream(allow_bare_end=True)
    chat.take(Event((TEXT % half)[6:-2]))
    chat.end(None)
    assert chat.result().text == "\ufffd"


def test_numbers_that_json_does_not_have_do_not_cost_the_text() -> None:
    extra = b'"logprobs":{"content":[{"logprob":-Infinity},{"logprob":NaN}]}'
    whole = b'{"choices":[{"index":0,"message":{"content":"Hola"},' + extra + b"}]}"
    assert text_result(whole).text == "Hola"
    body = b'data: {"choices":[{"index":0,"delta":{"content":"Hola"},' + extra + b"}]}\n\n" + STOP
    assert stream(body)[1].result().text == "Hola"
    body = body.replace(b'":NaN', b'":1e999')
    assert stream(body)[1].result().text == "Hola"


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_a_whole_answer_in_any_dress(error: bytes) -> None:
    for body in (error, b"\xef\xbb\xbf" + error, b"data: " + error + b"\n\n"):
        with pytest.raises(GenerationFailed, match="out of memory") as caught:
            text_result(body, request_id="r-1")
        assert caught.value.request_id == "r-1"


@pytest.mark.parametrize("key", ["message", "delta"])
def test_an_engine_that_gives_the_reason_in_the_choice(key: str) -> None:
    failed = {
        "index": 0,
        key: {"content": "Ho"},
        "finish_reason": "error",
        "error": {"message": "out of memory", "code": 502},
    }
    with pytest.raises(GenerationFailed, match="out of memory") as caught:
        if key == "message":
            text_result(orjson.dumps({"choices": [failed]}))
        else:
            stream(event(failed))
    assert caught.value.partial_text == "Ho"
    assert caught.value.status == 502


def test_an_engine_that_fails_without_a_message() -> None:
    with pytest.raises(GenerationFailed, match="stopped with an error"):
        text_result(b'{"choices": [{"index": 0, "finish_reason": "abort"}]}')


@pytest.mark.parametrize(
    "body", [TEXT % b"a" + STOP, b": ping\n\n" + TEXT % b"a", b"\xef\xbb\xbfevent: x\ndata: 1\n\n"]
)
def test_an_event_stream_to_a_whole_request(body: bytes) -> None:
    with pytest.raises(ResponseFormatError, match=r"event stream.*generate_text_stream") as caught:
        text_result(body, request_id="r-1")
    assert caught.value.request_id == "r-1"
    with pytest.raises(GenerationFailed, match="no memory"):
        text_result(body + b"event: error\ndata: no memory\n\n")


DOCUMENTS = [
    ("application/json", TEXT % b"a", "labelled application/json"),
    ("application/json", b": ping", "labelled application/json"),
    ("application/json", b"data:", "labelled application/json"),
    ("application/json", b'{"choices":[]}\n{"choices"', "JSON lines"),
    ("application/x-ndjson", b'{"choices":[]}\n', "JSON lines"),
    ("application/x-ndjson", b'{"response":"a"}\n{"error": "out of memory"}\n', "out of memory"),
]


@pytest.mark.parametrize(("kind", "data", "words"), DOCUMENTS)
def test_what_is_said_at_once(kind: str, data: bytes, words: str) -> None:
    assert is_document(kind)
    for ended in (True, False):
        error = document_error(kind, data, ended=ended)
        assert isinstance(error, InferenceKeyError)
        assert words in str(error)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        *(("application/json", error, "out of memory") for error in ERRORS),
        *(("application/problem+json", error, "out of memory") for error in ERRORS),
        ("application/json", b"out of memory", "out of memory"),
        ("application/json", b'"out of memory"', "out of memory"),
        ("application/json", b"", "nothing"),
        ("application/json", b'{"choices": [{"message": {}}]}', "supports streaming"),
        ("application/json", b'{\n "error": "out of memory"\n}', "out of memory"),
        ("application/json", b"[" * 10_000, "[[["),
        ("application/x-ndjson", b'{"choices": []}', "JSON lines"),
        ("text/html", b"<html>out of memory</html>", "web page: '<html>out of memory"),
        ("application/xhtml+xml", b"<html>out of memory</html>", "web page"),
    ],
)
def test_what_is_said_at_the_end_of_a_document(kind: str, data: bytes, words: str) -> None:
    assert is_document(kind)
    assert document_error(kind, data, ended=False) is None
    error = document_error(kind, data, ended=True)
    assert words in str(error)


def test_a_document_without_an_end_has_a_limit() -> None:
    assert document_error("text/html", b"<" * (DOCUMENT_LIMIT - 1), ended=False) is None
    assert document_error("text/html", b"<" * DOCUMENT_LIMIT, ended=False) is not None


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "text/plain", "", "application/octet-stream"]
)
def test_what_is_read_as_a_stream(kind: str) -> None:
    assert not is_document(kind)


@pytest.mark.parametrize("data", [b"", b"{", b"dat", b"<html>", b'"data:"', b"error: x"])
def test_what_is_no_event_stream(data: bytes) -> None:
    assert not looks_like_events(data)


PIECES = (
    TEXT % b"a",
    STOP,
    DONE,
    *(b"data:", b"\n", b"\n\n", b"error: x", b"{}", b'{"error":1}', b"junk", b"event: ping\n"),
    *(b"\xff", b"\xf0\x9f", b"\\ud83d", b"data: {", b"[DONE]", b"\r"),
)
ALPHABET = st.sampled_from(PIECES)


@given(st.lists(ALPHABET, max_size=12).map(b"".join), st.integers(0, 300))
def test_no_cut_changes_what_is_read(body: bytes, at: int) -> None:
    def outcome(*pieces: bytes) -> tuple[str, str]:
        try:
            chunks, chat = stream(*pieces)
        except InferenceKeyError as error:
            return type(error).__name__, str(error)
        text = chat.result().text
        assert text == "".join(chunk.text for chunk in chunks)
        return "", text

    assert outcome(body) == outcome(body[:at], body[at:])
    assert outcome(body) == outcome(*(body[i : i + 1] for i in range(len(body))))


def test_junk_in_the_middle_that_is_nothing() -> None:
    chunks, _ = stream(TEXT % b"a", b"data:  \n\n", b"42\n\n", b"null\n\n", TEXT % b"b", STOP)
    assert [chunk.text for chunk in chunks] == ["a", "b", ""]
    chat = ChatStream()
    assert chat.take(Event(b"  ")) is None
    assert not chat.done


def test_json_lines_after_the_end_of_the_text_are_junk() -> None:
    assert stream(TEXT % b"a", STOP, b'{"choices": []}')[1].result().text == "a"
    assert stream(TEXT % b"a", STOP, b'{"choices": []}\n\n', DONE)[1].done


def test_a_choice_that_is_no_object() -> None:
    body = b'{"choices": [{"index": 0, "message": {"content": "a"}}, null, {"index": 5}]}'
    assert text_result(body).choices == (TextChoice(5, "", None),)
    with pytest.raises(StreamInterrupted, match="it said: 42"):
        stream(TEXT % b"a", b"42\n\n")
