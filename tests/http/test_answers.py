"""Errors, streams and secrets in every dress, over real sockets, for both kinds of client."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from faults import scripts as f
from faults.calls import KEY, play
from faults.lab import Lab
from faults.responses import chunk, events, head, json_response, sse_head
from faults.server import Connection, FaultServer, Request

from inferencekey import (
    ConfigurationError,
    DataClient,
    FieldDiff,
    GenerationFailed,
    InferenceKeyError,
    ManagementClient,
    NotFoundError,
    Plan,
    ResponseFormatError,
    StreamInterrupted,
    ValidationError,
    WorkloadSpec,
)


def everything(error: InferenceKeyError) -> str:
    """All that a debugger would show of an error."""
    values = list(vars(error).values())
    return "\n".join([str(error), repr(error), repr(error.args), repr(values)])


WAYS = pytest.mark.parametrize("way", ["async", "sync"])
STREAM = "generate_text_stream"
WHOLE = "generate_text"


def answers(body: bytes, kind: str, *, stays: bool = False) -> f.Fault:
    """Answer 200 with a body, and end it, or go on for ever."""

    async def script(connection: Connection, request: Request, _: bytes) -> None:
        await connection.send(head(content_type=kind, transfer_encoding="chunked"), chunk(body))
        if stays:
            await connection.until_gone()
        else:
            await connection.send(chunk(b""))

    return script


EVENTS = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
CASES: list[tuple[str, str, bytes, bool, type[InferenceKeyError], str]] = [
    (
        STREAM,
        "text/event-stream",
        EVENTS + b'error: {"message":"no memory"}\n\ndata: [DONE]\n\n',
        False,
        GenerationFailed,
        "no memory",
    ),
    (
        STREAM,
        "text/event-stream",
        EVENTS + b'{"error":"no memory"}',
        False,
        GenerationFailed,
        "no memory",
    ),
    (STREAM, "text/event-stream", b"no memory", False, StreamInterrupted, "no memory"),
    (STREAM, "text/plain", b"no memory", False, StreamInterrupted, "no memory"),
    (STREAM, "application/json", b"no memory", False, ResponseFormatError, "no memory"),
    (
        STREAM,
        "application/json",
        b'{"object":"error","message":"no memory"}',
        False,
        GenerationFailed,
        "no memory",
    ),
    (STREAM, "application/json", b'{"detail":"no memory"}', False, GenerationFailed, "no memory"),
    (STREAM, "application/json", EVENTS, True, ResponseFormatError, "labelled application/json"),
    (
        STREAM,
        "application/x-ndjson",
        b'{"response":"a"}\n',
        True,
        ResponseFormatError,
        "JSON lines",
    ),
    (WHOLE, "text/event-stream", EVENTS, True, ResponseFormatError, "generate_text_stream"),
    (WHOLE, "application/json", EVENTS, True, ResponseFormatError, "generate_text_stream"),
    (
        WHOLE,
        "text/event-stream",
        b'data: {"error":"no memory"}\n\n',
        True,
        GenerationFailed,
        "no memory",
    ),
    (WHOLE, "application/json", b'{"detail":"no memory"}', False, GenerationFailed, "no memory"),
    ("embed", "application/json", b'{"message":"no memory"}', False, GenerationFailed, "no memory"),
    ("rerank", "application/json", b'{"detail":"no memory"}', False, GenerationFailed, "no memory"),
    ("embed", "text/event-stream", EVENTS, True, ResponseFormatError, "event stream"),
]


@WAYS
@pytest.mark.parametrize(("call", "kind", "body", "stays", "error", "words"), CASES)
def test_what_is_said(
    call: str, kind: str, body: bytes, stays: bool, error: type, words: str, way: str
) -> None:
    with Lab(answers(body, kind, stays=stays)) as lab:
        found = play(way, lab.url, call, retry=None)[0].error
    assert type(found) is error
    assert words in str(found)
    assert found.status == 200


@WAYS
@pytest.mark.parametrize(
    ("call", "encoding"), [(STREAM, "identity"), ("wait_until_ready", "identity"), (WHOLE, None)]
)
def test_streams_ask_not_to_be_compressed(call: str, encoding: str | None, way: str) -> None:
    with Lab() as lab:
        assert play(way, lab.url, call)[0].error is None
    sent = [request for request in lab.requests if f.is_stream(request) is (encoding is not None)]
    assert sent
    for request in sent:
        asked = request.headers["accept-encoding"]
        assert asked == encoding if encoding else "gzip" in asked


@WAYS
def test_the_callers_own_accept_encoding_stays(way: str) -> None:
    with Lab() as lab:
        play(way, lab.url, STREAM, headers={"accept-encoding": "x-own"})
    assert [request.headers["accept-encoding"] for request in lab.requests] == ["x-own"]


@WAYS
@pytest.mark.parametrize("call", [WHOLE, STREAM, "list_workloads"])
def test_a_404_names_the_whole_url(call: str, way: str) -> None:
    with Lab(f.refuses(404, b'{"error": "nothing here"}')) as lab:
        found = play(way, f"{lab.url}/base", call, retry=None)[0].error
    assert isinstance(found, NotFoundError)
    assert f" {lab.url}{lab.requests[0].path})" in str(found)


PASSWORD = "pa55word/with+all@of&it"


@WAYS
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"",
        b"HTTP/1.1 999999 x\r\n\r\n",
        json_response({"error": f"who is {PASSWORD}?", "x": json.dumps(PASSWORD)}, 407),
        head(502, content_length="0", x_request_id=PASSWORD),
        f"HTTP/1.1 407 {PASSWORD}\r\ncontent-length: 0\r\n\r\n".encode(),
    ],
)
@pytest.mark.filterwarnings("ignore::inferencekey.InsecureTransportWarning")
def test_a_proxy_that_speaks_no_http_does_not_show_its_password(
    said: bytes, scheme: str, way: str
) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(said)
        connection.close()

    from urllib.parse import quote

    with FaultServer(script) as proxy:
        url = proxy.url.replace("://", f"://user:{quote(PASSWORD, safe='')}@")
        found = play(way, f"{scheme}://platform.test", WHOLE, proxy=url, retry=None)[0].error
    assert isinstance(found, InferenceKeyError)
    shown = everything(found)
    assert "pa55word" not in shown, shown


OTHER = "sk-proj.other+gateway/0123456789=="


@WAYS
@pytest.mark.parametrize("call", [WHOLE, STREAM, "embed"])
@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("cut", [0, 3])
def test_no_attribute_of_an_error_shows_the_key(
    status: int, key: str, call: str, cut: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faults.calls

    async def script(connection: Connection, request: Request, _: bytes) -> None:
        echo = request.headers["authorization"].removeprefix("Bearer ")[: -cut or None]
        error = {"message": f"bad {echo}", "code": echo, "x": echo.replace("/", "\\/")}
        if status == 200 and call == STREAM:
            body = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
            await connection.send(
                sse_head(x_request_id=echo), *events("a", finish=None, done=False), chunk(body)
            )
            await connection.send(chunk(b""))
        else:
            await connection.send(json_response({"error": error}, status, x_request_id=echo))

    monkeypatch.setattr(faults.calls, "KEY", key)
    with Lab(script) as lab:
        found = play(way, lab.url, call, retry=None)[0].error
    assert isinstance(found, InferenceKeyError)
    assert found.request_id
    shown = everything(found)
    assert "gateway" not in shown, shown
    assert "e" * 8 not in shown, shown


COMMON = {"project": "acme", "sdk_token": "ik_sdk_abcd1234_" + "f" * 64}
HALF = "half\ud83d"


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("prompt", lambda ep: ep.generate_text(HALF)),
        ("prompt", lambda ep: ep.generate_text_stream(HALF)),
        (
            "messages[0].content",
            lambda ep: ep.generate_text(messages=[{"role": "user", "content": HALF}]),
        ),
        (
            "messages[0].role",
            lambda ep: ep.generate_text(messages=[{"role": HALF, "content": "a"}]),
        ),
        (
            "messages[0].content[0].text",
            lambda ep: ep.generate_text_stream(
                messages=[{"role": "user", "content": [{"type": "text", "text": HALF}]}]
            ),
        ),
        ("stop[1]", lambda ep: ep.generate_text("a", stop=["b", HALF])),
        ("x[0].y", lambda ep: ep.generate_text("a", extra_body={"x": [{"y": HALF}]})),
        (r"the key half\ud83d", lambda ep: ep.generate_text("a", extra_body={HALF: 1})),
        ("input", lambda ep: ep.embed(HALF)),
        ("input[1]", lambda ep: ep.embed(["a", HALF])),
        ("query", lambda ep: ep.rerank(HALF, ["a"])),
        ("documents[1]", lambda ep: ep.rerank("a", ["b", HALF])),
    ],
)
def test_half_a_character_is_refused_by_field(field: str, call: Any) -> None:
    with FaultServer() as server:
        client = DataClient(base_url=server.url, project="acme", api_key=KEY)
        with client, pytest.raises(ValidationError) as caught:
            call(client.endpoint("bot"))
        assert str(caught.value) == (
            f"validation error: {field} must not contain invalid Unicode (a lone surrogate)"
        )
        assert server.connections == []


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("project", {"project": HALF}),
        ("base_url", {"base_url": "http://127.0.0.1/" + HALF}),
        ("sdk_token", {"sdk_token": "ik_sdk_" + HALF}),
        ("header", {"headers": {"x-a": HALF}}),
        ("header", {"headers": {HALF: "a"}}),
        ("proxy", {"proxy": "http://" + HALF}),
    ],
)
def test_half_a_character_in_a_clients_options(field: str, options: dict[str, Any]) -> None:
    common = {"project": "acme", "sdk_token": "ik_sdk_abcd1234_" + "f" * 64}
    with pytest.raises((ValidationError, ConfigurationError), match=field) as caught:
        ManagementClient(**{**common, **options}).list_workloads()
    str(caught.value).encode()


@pytest.mark.parametrize("change", ["project_slug", "workload_slug", "state", "changes"])
def test_half_a_character_in_a_plan(change: str) -> None:
    plan = Plan("update", (FieldDiff("model", "a", "b"),), "acme", "bot", "w-1", "0" * 8)
    wrong = HALF if change != "changes" else (FieldDiff("config", {}, {"a": [HALF]}),)
    changed = attrs.evolve(plan, **{change: wrong})
    with pytest.raises(ValidationError):
        Plan.from_dict(changed.to_dict())
    with FaultServer() as server, ManagementClient(**COMMON, base_url=server.url) as client:
        with pytest.raises(ValidationError):
            client.apply(changed)
        assert server.connections == []


@pytest.mark.parametrize("call", ["get_workload", "delete", "wait_until_ready", "logs"])
def test_half_a_character_in_a_slug(call: str) -> None:
    with FaultServer() as server, ManagementClient(**COMMON, base_url=server.url) as client:
        with pytest.raises(
            ValidationError, match="^validation error: slug must not contain invalid Unicode"
        ):
            getattr(client, call)(HALF)
        assert server.connections == []


SPEC: dict[str, Any] = {"name": "bot", "slug": "bot", "model": "m", "backend": "vllm"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, HALF) for field in ("name", "slug", "model", "description", "command")),
        *((field, HALF) for field in ("worker_id", "gpu_resource_id", "project", "vllm_version")),
        ("backend", HALF),
        ("task_type", HALF),
        ("execution_policy", HALF),
        ("config", {"a": [{"b": HALF}]}),
        ("config", {HALF: 1}),
        ("execution_policy_config", {"replicas": 1, "a": HALF}),
    ],
)
@pytest.mark.parametrize("call", ["ensure", "plan"])
def test_half_a_character_in_a_spec(call: str, field: str, value: Any) -> None:
    with FaultServer() as server:
        with (
            ManagementClient(
                base_url=server.url, project="acme", sdk_token="ik_sdk_abcd1234_" + "f" * 64
            ) as client,
            pytest.raises((ValidationError, TypeError)) as caught,
        ):
            client.ensure(WorkloadSpec(**{**SPEC, field: HALF}))
        str(caught.value).encode()
        assert server.connections == []


@pytest.mark.parametrize("call", [WHOLE, STREAM, "embed"])
@pytest.mark.parametrize("key", [KEY, OTHER])
@pytest.mark.parametrize("cut", [0, 3])
@WAYS
def test_a_request_id_that_echoes_the_key_is_hidden(
    way: str, cut: int, key: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faults.calls

    async def script(connection: Connection, request: Request, body: bytes) -> None:
        echo = request.headers["authorization"].removeprefix("Bearer ")[: -cut or None]
        kind = "text/event-stream" if f.is_stream(request) else "application/json"
        await connection.send(
            head(content_type=kind, content_length=str(len(body)), x_request_id=echo), body
        )

    monkeypatch.setattr(faults.calls, "KEY", key)
    with Lab(script) as lab:
        played = play(way, lab.url, call, retry=None)[0]
    assert played.error is None
    result = played.value
    if call == STREAM:
        with (
            Lab(script) as lab,
            DataClient(base_url=lab.url, project="acme", api_key=key) as client,
        ):
            stream = client.endpoint("bot").generate_text_stream("x")
            assert list(stream)
            result = (stream.result, stream.request_id)
    assert result is not None
    assert "gateway" not in repr(result)
    assert "e" * 8 not in repr(result)
