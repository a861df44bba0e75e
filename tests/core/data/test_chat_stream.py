"""A stream's events put together, and whether it was whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._core.data.sse import Event, SSEDecoder
from inferencekey.errors import GenerationFailed, ResponseFormatError, StreamInterrupted
from inferencekey.models import TextChunk, TextResult, Usage

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
RECORDED = sorted(
    f"{path.parent.name}/{path.stem}"
    for path in CAPTURES.glob("*/*.http")
    if b"chat.completion.chunk" in path.read_bytes()
)


def chunk(text: str | None = None, reason: str | None = None, **fields: Any) -> Event:
    delta = {} if text is None else {"content": text}
    return Event(
        orjson.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields})
    )


def read(*pieces: bytes) -> tuple[list[TextChunk | None], ChatStream]:
    decoder, stream = SSEDecoder(), ChatStream(request_id="r-1")
    taken = [stream.take(event) for piece in pieces for event in decoder.feed(piece)]
    stream.end(decoder.finish())
    return taken, stream


def test_recordings_exist() -> None:
    assert len(RECORDED) >= 8


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_stream_under_every_cut(
    name: str, capture: Callable[[str], Any], cuts: Callable[[bytes], Iterator[list[bytes]]]
) -> None:
    body = capture(name).body
    raws = [orjson.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    texts = [
        (raw["choices"][0]["delta"].get("content") or "") if raw["choices"] else "" for raw in raws
    ]
    taken, stream = read(body)
    assert taken.pop() is None, "[DONE] is no chunk"
    assert [one.raw for one in taken if one] == raws
    assert [one.text for one in taken if one] == texts
    result = stream.result()
    assert stream.done
    assert result.text == "".join(texts)
    assert result.model == "smollm2-135m"
    assert result.finish_reason in {"stop", "length", "tool_calls"}
    assert result.request_id == "r-1"
    usage = next((raw["usage"] for raw in reversed(raws) if raw.get("usage")), None)
    assert (result.usage is None) == (usage is None)
    if usage:
        assert result.usage == Usage(
            usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]
        )

    # The beginning and the end hold every kind of event there is; the middle is more of the same.
    blocks = body.split(b"\n\n")
    short = b"\n\n".join(blocks if len(blocks) < 16 else blocks[:8] + blocks[-8:])
    whole = SSEDecoder().feed(short)
    for pieces in cuts(short):
        decoder = SSEDecoder()
        assert [event for piece in pieces for event in decoder.feed(piece)] == whole
        assert decoder.finish() is None


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_stream_that_is_cut_raises(name: str, capture: Callable[[str], Any]) -> None:
    body = capture(name).body
    finished = body.index(b"\n\n", body.rindex(b'"finish_reason":"')) + 2
    for at in range(0, len(body), 7):
        decoder, stream = SSEDecoder(), ChatStream()
        texts = [one.text for event in decoder.feed(body[:at]) if (one := stream.take(event))]
        if at >= finished:
            stream.end(decoder.finish())
            assert stream.complete
            continue
        with pytest.raises(StreamInterrupted) as caught:
            stream.end(decoder.finish())
        assert caught.value.partial_text == "".join(texts)


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"choices": [{"delta": {"content": "Hola"}}]}, "Hola", None),
        ({"choices": [{"delta": {"role": "assistant"}}]}, "", None),
        ({"choices": [{"delta": {"role": "assistant", "content": None}}]}, "", None),
        ({"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}, "", "stop"),
        ({"choices": [{"delta": {}, "finish_reason": ""}]}, "", None),
        ({"choices": [{"delta": None, "finish_reason": "length"}]}, "", "length"),
        ({"choices": [{"finish_reason": "content_filter"}]}, "", "content_filter"),
        ({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}, "", None),
        ({"choices": [{"delta": {"reasoning_content": "hm"}}]}, "", None),
        ({"choices": []}, "", None),
        ({"choices": None}, "", None),
        ({"usage": {"total_tokens": 3}}, "", None),
        ({}, "", None),
        ({"error": None, "choices": [{"delta": {"content": "a"}}]}, "a", None),
        ({"error": {}, "choices": [{"delta": {"content": "a"}}]}, "a", None),
        ({"error": False}, "", None),
    ],
)
def test_one_chunk_per_event(fields: dict[str, Any], text: str, reason: str | None) -> None:
    stream = ChatStream()
    assert stream.take(Event(orjson.dumps(fields))) == TextChunk(text, reason, fields)
    assert stream.complete is (reason is not None)
    assert stream.result().text == text


@pytest.mark.parametrize("done", [b"[DONE]", b" [DONE]", b"[DONE] ", b"[DONE]\n"])
def test_done_is_not_a_chunk_and_completes_the_stream(done: bytes) -> None:
    stream = ChatStream()
    assert stream.take(Event(done)) is None
    assert stream.done
    assert stream.complete
    stream.end(None)


def test_model_and_usage_are_gathered() -> None:
    stream = ChatStream(request_id="r-1")
    stream.take(chunk("Ho", model="m-1", usage=None))
    stream.take(chunk("la", model="m-2", usage={"completion_tokens": 1}))
    last = {
        "choices": [],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2.0, "total_tokens": "4"},
    }
    assert stream.result() == TextResult(
        "Hola", "m-1", None, Usage(None, 1, None), stream.result().raw, "r-1"
    )
    stream.take(chunk(None, "stop"))
    stream.take(Event(orjson.dumps(last)))
    assert stream.result() == TextResult("Hola", "m-1", "stop", Usage(2, 2, None), last, "r-1")


IN_BAND = [
    (
        b'{"error": {"message": "out of memory", "type": "server_error", "code": 500}}',
        "out of memory",
        "server_error",
        500,
    ),
    (b'{"error": {"message": "m", "code": "overloaded"}, "choices": []}', "m", "overloaded", None),
    (b'{"error": {"message": "m", "status": 503}}', "m", None, 503),
    (b'{"error": {"message": "m", "code": 11200}}', "m", None, None),
    (
        b'{"error": {"message": "m"}, "choices": [{"delta": {"content": ""}, "finish_reason": '
        b'"error"}]}',
        "m",
        None,
        None,
    ),
    (
        b'{"error": "Request failed during", "error_type": "generation"}',
        "Request failed during",
        None,
        None,
    ),
    (b'{"error": "model_not_found"}', "model_not_found", "model_not_found", None),
    (b'{"error": true, "message": "broken"}', "broken", None, None),
    (b'{"error": ["a", 1]}', '["a",1]', None, None),
    (b'{"error": 5}', "5", None, None),
    (b'{"error": {}}', "the engine reported an error without a message", None, None),
    (b'{"error": {"type": "internal"}}', "internal", "internal", None),
    (b'{"error": {"foo": 1}}', '{"foo":1}', None, None),
    (b'{"error": {"detail": [{"loc": ["body", 0], "msg": "bad"}]}}', "body.0: bad", None, None),
]


@pytest.mark.parametrize("kind", ["message", "error"])
@pytest.mark.parametrize(("data", "words", "code", "status"), IN_BAND)
def test_an_error_in_the_stream_has_the_servers_message(
    data: bytes, words: str, code: str | None, status: int | None, kind: str
) -> None:
    stream = ChatStream(request_id="r-1")
    stream.take(chunk("Ho"))
    with pytest.raises(GenerationFailed) as caught:
        stream.take(Event(data, kind))
    error = caught.value
    assert str(error) == f"api error: {words}"
    assert (error.code, error.status, error.request_id, error.partial_text) == (
        code,
        status,
        "r-1",
        "Ho",
    )
    assert error.result is not None
    assert error.body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"out of memory", "out of memory"),
        (b'"out of memory"', "out of memory"),
        (b'{"message": "m"}', "m"),
        (b'{"detail": "d"}', "d"),
        (b"null", "the engine reported an error without a message"),
        (b"", "the engine reported an error without a message"),
        (b"\xff\xff", "�" * 2),
        (b"[1]", "[1]"),
        (b'{"choices": []}', '{"choices":[]}'),
    ],
)
def test_an_event_of_type_error_is_an_error_with_any_data(data: bytes, words: str) -> None:
    with pytest.raises(GenerationFailed) as caught:
        ChatStream().take(Event(data, "error"))
    assert str(caught.value) == f"api error: {words}"


def test_the_message_of_an_error_shows_no_token() -> None:
    token = "ik_live_proj1234_" + "5ec2e7" * 10
    with pytest.raises(GenerationFailed) as caught:
        ChatStream().take(Event(orjson.dumps({"error": f"who is {token}?"})))
    assert str(caught.value) == "api error: who is ik_live_proj1234…?"
    assert "5ec2e7" not in repr(caught.value.__dict__)


@pytest.mark.parametrize("reason", ["error", "abort"])
def test_an_engine_that_stops_with_an_error(reason: str) -> None:
    stream = ChatStream(request_id="r-1")
    stream.take(chunk("Ho"))
    with pytest.raises(GenerationFailed) as caught:
        stream.take(chunk("l", reason))
    error = caught.value
    assert str(error) == (
        f"api error: the engine stopped with an error (finish_reason '{reason}'); 3 characters "
        "had arrived, see .partial_text"
    )
    assert (error.partial_text, error.code, error.request_id) == ("Hol", reason, "r-1")


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices": [',
        b"not JSON",
        b"\xff",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b'"[DONE]"',
        b'{"choices": {"delta": {}}}',
        b'{"choices": "text"}',
        b'{"choices": 5}',
        b'{"choices": [null]}',
        b'{"choices": [[]]}',
        b'{"choices": [{"delta": "text"}]}',
        b'{"choices": [{"delta": {"content": 5}}]}',
        b'{"choices": [{"delta": {"content": [{"type": "text"}]}}]}',
        b'{"choices": [{"delta": {"content": "a"}, "finish_reason": 5}]}',
    ],
)
def test_rejects_an_event_that_is_not_a_chunk_and_shows_its_beginning(data: bytes) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        ChatStream(request_id="r-1").take(Event(data))
    assert str(caught.value).startswith("unexpected response: ")
    assert str(caught.value).endswith(repr(data.decode("utf-8", "replace")))
    assert caught.value.request_id == "r-1"


@pytest.mark.parametrize(
    ("unfinished", "cause"),
    [
        (None, "the server closed the connection"),
        (
            Event(b'{"choices": [{"del'),
            "the server closed the connection in the middle of an event",
        ),
    ],
)
def test_a_stream_that_ends_too_early(unfinished: Event | None, cause: str) -> None:
    stream = ChatStream(request_id="r-1")
    stream.take(chunk("Hola", model="m"))
    with pytest.raises(StreamInterrupted) as caught:
        stream.end(unfinished)
    error = caught.value
    assert str(error) == (
        f"network error: the stream ended before it was complete ({cause}); 4 characters had "
        "arrived, see .partial_text"
    )
    assert error.partial_text == "Hola"
    assert error.request_id == "r-1"
    assert error.result == stream.result()
    assert error.result is not None
    assert error.result.finish_reason is None


def test_another_cause_is_in_the_message() -> None:
    with pytest.raises(StreamInterrupted, match=r"complete \(reset by peer\)"):
        ChatStream().end(None, "reset by peer")


@pytest.mark.parametrize("last", [b"[DONE]", b" [DONE]"])
def test_done_without_its_blank_line_completes(last: bytes) -> None:
    stream = ChatStream()
    stream.take(chunk("Hola"))
    stream.end(Event(last))
    assert stream.done


@pytest.mark.parametrize("unfinished", [None, Event(b'{"usage": {')])
def test_a_finish_reason_is_enough(unfinished: Event | None) -> None:
    stream = ChatStream()
    stream.take(chunk("Hola", "stop"))
    stream.end(unfinished)
    assert stream.complete
    assert not stream.done


def test_engines_that_are_known_to_send_no_end() -> None:
    stream = ChatStream(allow_bare_end=True)
    stream.take(chunk("Hola"))
    stream.end(None)
    with pytest.raises(StreamInterrupted):
        stream.end(Event(b"{"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "stop", "error", "text"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "content", "finish_reason", "error", "usage"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["message", "error"]))
def test_any_json_is_a_chunk_or_a_typed_error(value: object, kind: str) -> None:
    stream = ChatStream()
    try:
        taken = stream.take(Event(orjson.dumps(value), kind))
    except (GenerationFailed, ResponseFormatError):
        return
    assert isinstance(taken, TextChunk)
    assert taken.raw == value


@pytest.mark.parametrize(
    "event",
    [
        b'{"object":"error","message":"out of memory","type":"server_error","code":500}',
        b'{"detail":"out of memory"}',
        b'{"message":"out of memory"}',
    ],
)
def test_an_error_without_the_key_error(event: bytes) -> None:
    with pytest.raises(GenerationFailed, match="out of memory"):
        ChatStream().take(Event(event))


@pytest.mark.parametrize(
    "event",
    [b"{}", b'{"object":"chat.completion.chunk","usage":{}}', b'{"choices":[],"message":"x"}'],
)
def test_an_event_without_choices_is_not_an_error(event: bytes) -> None:
    assert ChatStream().take(Event(event)) is not None
