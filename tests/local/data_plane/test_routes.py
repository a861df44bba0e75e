"""The data plane over real sockets, with the real engines."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from platforms import Running, running

from inferencekey.local.status import platform_status

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

CHAT = "/endpoint/acme/bot/v1/chat/completions"
EMBED = "/endpoint/acme/docs/v1/embeddings"
RERANK = "/endpoint/acme/ranker/v1/rerank"
MESSAGES = [{"role": "user", "content": "Name three colours."}]
FIXED: dict[str, Any] = {"messages": MESSAGES, "temperature": 0, "seed": 1, "max_tokens": 12}
LONG: dict[str, Any] = {
    "messages": MESSAGES,
    "temperature": 0,
    "seed": 1,
    "max_tokens": 1500,
    "ignore_eos": True,
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def local(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("gateway") / "data") as started:
        await asyncio.gather(
            started.serve("bot", "text2text"),
            started.serve("docs", "embedding"),
            started.serve("ranker", "reranker"),
        )
        yield started


def stream(local: Running, body: dict[str, Any], path: str = CHAT) -> Any:
    headers = {"Authorization": f"Bearer {local.live}"}
    return local.http.post(path, json={**body, "stream": True}, headers=headers)


def events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def text_of(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]]
    return "".join(
        choice["delta"].get("content") or "" for choice in choices if choice["index"] == index
    )


# Responses that are not streamed


async def test_a_response_is_collected_from_the_stream(local: Running) -> None:
    answer = await local.call("POST", CHAT, json={**FIXED, "model": "whatever"})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.body
    assert body["object"] == "chat.completion"
    assert body["model"] == "SmolLM2-135M-Instruct"
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    [choice] = body["choices"]
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (
        0,
        "length",
        "assistant",
    )
    assert choice["message"]["content"].strip()
    usage = body["usage"]
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12


async def test_whole_and_streamed_answers_agree(local: Running) -> None:
    whole = await local.call("POST", CHAT, json=FIXED)
    async with stream(local, {**FIXED, "stream_options": {"include_usage": True}}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert "Content-Length" not in response.headers
        assert response.headers["x-request-id"]
        chunks = events(await response.text())
    assert chunks[-1] == "[DONE]"
    assert text_of(chunks) == whole.body["choices"][0]["message"]["content"]
    assert {chunk["model"] for chunk in chunks[:-1]} == {"SmolLM2-135M-Instruct"}
    assert chunks[-2]["choices"] == []
    assert chunks[-2]["usage"]["completion_tokens"] == whole.body["usage"]["completion_tokens"]


async def test_usage_is_streamed_only_on_request(local: Running) -> None:
    async with stream(local, FIXED) as response:
        chunks = events(await response.text())
    assert not [chunk for chunk in chunks[:-1] if chunk.get("usage")]


async def test_several_choices_are_collected(local: Running) -> None:
    body = {"messages": MESSAGES, "max_tokens": 6, "seed": 1, "temperature": 1, "n": 3}
    answer = await local.call("POST", CHAT, json=body)
    assert [choice["index"] for choice in answer.body["choices"]] == [0, 1, 2]
    assert all(choice["message"]["content"] for choice in answer.body["choices"])


async def test_logprobs_are_collected(local: Running) -> None:
    answer = await local.call(
        "POST", CHAT, json={**FIXED, "max_tokens": 4, "logprobs": True, "top_logprobs": 2}
    )
    choice = answer.body["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert {len(token["top_logprobs"]) for token in tokens} == {2}


async def test_structured_output_is_json_of_the_schema(local: Running) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "c", "schema": schema}}
    answer = await local.call(
        "POST", CHAT, json={**FIXED, "max_tokens": 40, "response_format": form}
    )
    assert json.loads(answer.body["choices"][0]["message"]["content"])["colour"] in ("red", "blue")


async def test_null_is_the_same_as_an_absent_field(local: Running) -> None:
    nulls = dict.fromkeys(
        ["top_p", "stop", "n", "stream", "stream_options", "tools", "response_format", "logprobs"]
    )
    answer = await local.call("POST", CHAT, json={**FIXED, **nulls})
    assert answer.status == 200


async def test_plain_completions_work_too(local: Running) -> None:
    path = "/endpoint/acme/bot/v1/completions"
    body = {"prompt": "Once upon a time", "max_tokens": 5, "temperature": 0}
    whole = await local.call("POST", path, json=body)
    assert whole.body["object"] == "text_completion"
    assert whole.body["usage"]["completion_tokens"] == 5
    async with stream(local, body, path) as response:
        chunks = events(await response.text())
    assert (
        "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1] if chunk["choices"])
        == whole.body["choices"][0]["text"]
    )


async def test_a_stream_comes_token_by_token(local: Running) -> None:
    """The chunks arrive while the engine computes; nothing collects them."""
    times: list[float] = []
    async with stream(local, {**FIXED, "max_tokens": 40, "ignore_eos": True}) as response:
        async for _ in response.content.iter_any():
            times.append(time.monotonic())
    assert len(times) > 8, "on a busy machine some arrive together, but not most of them"
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < (times[-1] - times[0]) / 2


async def test_many_concurrent_calls_are_all_served(local: Running) -> None:
    bodies = [
        {**FIXED, "max_tokens": 3, "messages": [{"role": "user", "content": f"Say {n}."}]}
        for n in range(12)
    ]
    answers = await asyncio.gather(*(local.call("POST", CHAT, json=body) for body in bodies))
    assert {answer.status for answer in answers} == {200}


# Embeddings and rerank


async def test_embeddings_come_in_order(local: Running) -> None:
    one = await local.call("POST", EMBED, json={"input": "first document", "model": "docs"})
    two = await local.call("POST", EMBED, json={"input": ["second document", "first document"]})
    assert one.status == two.status == 200
    assert two.body["model"] == "all-MiniLM-L6-v2"
    assert two.body["object"] == "list"
    assert [item["index"] for item in two.body["data"]] == [0, 1]
    vector = one.body["data"][0]["embedding"]
    assert len(vector) == 384
    assert two.body["data"][1]["embedding"] == pytest.approx(vector, abs=1e-3)
    assert two.body["usage"]["prompt_tokens"] > one.body["usage"]["prompt_tokens"]


async def test_a_long_list_is_embedded_in_order(local: Running) -> None:
    texts = [f"document number {n}" for n in range(70)]
    answer = await local.call("POST", EMBED, json={"input": texts})
    assert [item["index"] for item in answer.body["data"]] == list(range(70))
    last = await local.call("POST", EMBED, json={"input": texts[69]})
    assert answer.body["data"][69]["embedding"] == pytest.approx(
        last.body["data"][0]["embedding"], abs=2e-2
    )
    assert answer.body["usage"]["total_tokens"] >= 70 * 3


async def test_embeddings_as_base64_are_the_same_numbers(local: Running) -> None:
    plain = await local.call("POST", EMBED, json={"input": "hello", "encoding_format": "float"})
    packed = await local.call(
        "POST", EMBED, json={"input": "hello", "encoding_format": "base64", "dimensions": 384}
    )
    numbers = struct.unpack("<384f", base64.b64decode(packed.body["data"][0]["embedding"]))
    assert numbers == pytest.approx(plain.body["data"][0]["embedding"], abs=1e-3)


async def test_token_ids_can_be_embedded(local: Running) -> None:
    one = await local.call("POST", EMBED, json={"input": [101, 2023, 102]})
    two = await local.call("POST", EMBED, json={"input": [[101, 2023, 102], [101, 102]]})
    assert [len(one.body["data"]), len(two.body["data"])] == [1, 2]
    assert (await local.call("POST", EMBED, json={"input": [99999999]})).status == 400


async def test_rerank_returns_the_most_similar_first(local: Running) -> None:
    documents = [
        "Bananas are yellow.",
        "Paris is the capital of France.",
        "The capital of Spain is Madrid.",
    ]
    body = {"query": "What is the capital of France?", "documents": documents}
    answer = await local.call("POST", RERANK, json=body)
    assert answer.body["model"] == "all-MiniLM-L6-v2"
    results = answer.body["results"]
    assert [result["index"] for result in results] == [1, 2, 0]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert answer.body["usage"]["total_tokens"] > 10
    best = await local.call("POST", RERANK, json={**body, "top_n": 1})
    assert [result["index"] for result in best.body["results"]] == [1]
    more = await local.call("POST", RERANK, json={**body, "top_n": 50})
    assert len(more.body["results"]) == 3


async def test_models_names_the_model_that_runs(local: Running) -> None:
    for slug, name in (
        ("bot", "SmolLM2-135M-Instruct"),
        ("docs", "all-MiniLM-L6-v2"),
        ("ranker", "all-MiniLM-L6-v2"),
    ):
        answer = await local.call("GET", f"/endpoint/acme/{slug}/v1/models")
        assert [model["id"] for model in answer.body["data"]] == [name]


# Bodies that are refused


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi", **fields}]}


def without(name: str) -> dict[str, Any]:
    one = {"role": "user", "content": "hi"}
    del one[name]
    return {"messages": [one]}


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

BAD_CHATS: list[tuple[dict[str, Any], str]] = [
    ({}, "messages is required"),
    ({"messages": "hi"}, "messages must be a list"),
    ({"messages": []}, "messages must not be empty"),
    ({"messages": [5]}, "messages[0] must be an object"),
    (without("role"), "messages[0].role is required"),
    (without("content"), "messages[0].content is required"),
    (
        message(role="wizard"),
        "messages[0].role must be one of system, developer, user, assistant, tool; got 'wizard'",
    ),
    (message(role=5), "messages[0].role"),
    (message(name=5), "messages[0].name"),
    (message(content=""), "messages[0].content must not be blank"),
    (message(content=" \n"), "messages[0].content must not be blank"),
    (message(content=5), "messages[0].content must be a string or a list of parts"),
    (message(content=[]), "messages[0].content must not be blank"),
    (message(content=[{"type": "text"}]), "messages[0].content[0].text"),
    (message(content=[{"type": "text", "text": 5}]), "messages[0].content[0].text"),
    (message(content=[{"type": "video", "video": "x"}]), "only parts of type 'text'"),
    (
        message(
            content=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
        ),
        "only parts of type 'text'",
    ),
    (message(role="assistant", tool_calls=5), "tool_calls"),
    (message(role="assistant", tool_calls=[{"id": "a"}]), "tool_calls"),
    ({**FIXED, "temperature": 99}, "temperature must be a number from 0 to 2; got 99"),
    ({**FIXED, "temperature": -1}, "temperature"),
    ({**FIXED, "temperature": "hot"}, "temperature"),
    ({**FIXED, "temperature": True}, "temperature"),
    ({**FIXED, "top_p": 2}, "top_p"),
    ({**FIXED, "top_p": -1}, "top_p"),
    ({**FIXED, "max_tokens": 0}, "max_tokens must be an integer from 1"),
    ({**FIXED, "max_tokens": -5}, "max_tokens"),
    ({**FIXED, "max_tokens": 1.5}, "max_tokens"),
    ({**FIXED, "max_tokens": 2**40}, "max_tokens"),
    ({**FIXED, "max_completion_tokens": 0}, "max_completion_tokens"),
    ({**FIXED, "n": 0}, "n must be an integer from 1 to 4; got 0"),
    ({**FIXED, "n": 5}, "n must be"),
    ({**FIXED, "n": 1.5}, "n must be"),
    ({**FIXED, "stop": 5}, "stop must be"),
    ({**FIXED, "stop": ""}, "stop must be"),
    ({**FIXED, "stop": ["a", ""]}, "stop must be"),
    ({**FIXED, "stop": {}}, "stop must be"),
    ({**FIXED, "seed": "x"}, "seed"),
    ({**FIXED, "seed": 1.5}, "seed"),
    ({**FIXED, "stream": "yes"}, "stream must be true or false"),
    ({**FIXED, "stream_options": {"include_usage": True}}, "stream_options requires stream"),
    ({**FIXED, "stream": True, "stream_options": 5}, "stream_options"),
    ({**FIXED, "frequency_penalty": 99}, "frequency_penalty"),
    ({**FIXED, "presence_penalty": []}, "presence_penalty"),
    ({**FIXED, "logprobs": 5}, "logprobs"),
    ({**FIXED, "top_logprobs": 3}, "top_logprobs requires logprobs"),
    ({**FIXED, "logprobs": True, "top_logprobs": 1_000_000}, "top_logprobs"),
    ({**FIXED, "response_format": "json"}, "response_format.type"),
    ({**FIXED, "response_format": {"type": "xml"}}, "response_format.type"),
    ({**FIXED, "response_format": {"type": "json_schema"}}, "json_schema.schema must be an object"),
    (
        {
            **FIXED,
            "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "zzz"}}},
        },
        "zzz",
    ),
    ({**FIXED, "logit_bias": 5}, "logit_bias"),
    ({**FIXED, "tools": "x"}, "tools must be a list"),
    ({**FIXED, "tools": [{"type": "x"}]}, "tools must be a list"),
    ({**FIXED, "tools": [TOOL], "tool_choice": 5}, "tool_choice"),
    ({**FIXED, "grammar": "zzz"}, "grammar"),
    ({**FIXED, "reasoning_format": "zz"}, "reasoning format"),
]


@pytest.mark.parametrize(("body", "said"), BAD_CHATS, ids=lambda value: str(value)[:70])
async def test_rejects_a_bad_chat_and_names_the_field(
    local: Running, body: dict[str, Any], said: str
) -> None:
    answer = await local.call("POST", CHAT, json=body)
    assert answer.status == 400, answer
    error = answer.body["error"]
    assert set(error) == {"message", "type", "code"}
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "input must be"),
        ({"input": None}, "input must be"),
        ({"input": []}, "input must be"),
        ({"input": 5}, "input must be"),
        ({"input": ""}, "input must not be blank"),
        ({"input": ["a", "  "]}, "input[1] must not be blank"),
        ({"input": ["a", 5]}, "input[1] must be"),
        ({"input": [1, "a"]}, "input[0] must be"),
        ({"input": [[]]}, "input[0] must be"),
        ({"input": ["x"] * 2049}, "input must have at most 2048 items"),
        ({"input": "x", "encoding_format": "zzz"}, "encoding_format"),
        (
            {"input": "x", "dimensions": 64},
            "dimensions must be 384, the length of this model's vectors; got 64",
        ),
        ({"input": "x", "dimensions": "a"}, "dimensions"),
        (
            {"input": "word " * 800},
            "an input of 802 tokens is too long; this model accepts at most 512",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_rejects_bad_embeddings_and_names_the_field(
    local: Running, body: dict[str, Any], said: str
) -> None:
    answer = await local.call("POST", EMBED, json=body)
    assert answer.status == 400, answer
    assert said in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"documents": ["a"]}, "query must be a string"),
        ({"query": " ", "documents": ["a"]}, "query must not be blank"),
        ({"query": "q"}, "documents must be a list"),
        ({"query": "q", "documents": []}, "documents must be a list"),
        ({"query": "q", "documents": "a"}, "documents must be a list"),
        ({"query": "q", "documents": ["a", 5]}, "documents[1] must be a string"),
        ({"query": "q", "documents": ["a"] * 1001}, "have at most 1000 items"),
        ({"query": "q", "documents": ["a"], "top_n": 0}, "top_n"),
        ({"query": "q", "documents": ["a"], "top_n": "x"}, "top_n"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_rejects_a_bad_rerank_and_names_the_field(
    local: Running, body: dict[str, Any], said: str
) -> None:
    answer = await local.call("POST", RERANK, json=body)
    assert answer.status == 400, answer
    assert said in answer.body["error"]["message"]


@pytest.mark.parametrize("data", [b"", b"{", b"[1,2]", b"null", b"\xff\xfe"])
async def test_rejects_a_body_that_is_not_a_json_object(local: Running, data: bytes) -> None:
    answer = await local.call("POST", CHAT, data=data)
    assert (answer.status, answer.body["error"]["code"]) == (400, "invalid_json")


async def test_rejects_a_prompt_that_is_too_long(local: Running) -> None:
    for streamed in (False, True):
        body = {"messages": [{"role": "user", "content": "word " * 9000}], "stream": streamed}
        answer = await local.call("POST", CHAT, data=io.BytesIO(json.dumps(body).encode()))
        assert (answer.status, answer.body["error"]["code"]) == (400, "context_length_exceeded")


async def test_rejects_paths_of_another_task_type(local: Running) -> None:
    body = {**FIXED, "input": "x", "query": "q", "documents": ["d"]}
    for slug, works in (("bot", "chat/completions"), ("docs", "embeddings"), ("ranker", "rerank")):
        for path in ("chat/completions", "completions", "embeddings", "rerank"):
            if path in (works, "completions"):
                continue
            answer = await local.call("POST", f"/endpoint/acme/{slug}/v1/{path}", json=body)
            assert (answer.status, answer.body["error"]["code"]) == (400, "wrong_task_type")
            assert "task type" in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/images/edits"),
        ("POST", "/v1/images/variations"),
        ("POST", "/v1/audio/speech"),
        ("POST", "/v1/audio/generate"),
        ("POST", "/v1/audio/transcriptions"),
        ("GET", "/v1/audio/voices"),
        ("POST", "/forecast"),
        ("POST", "/jobs"),
    ],
)
async def test_paths_that_no_engine_serves_are_501(local: Running, method: str, path: str) -> None:
    answer = await local.call(
        method, f"/endpoint/acme/bot{path}", json={} if method == "POST" else None
    )
    assert answer.status == 501
    assert answer.body["error"]["code"] == "not_implemented"
    assert path in answer.body["error"]["message"]
    assert (await local.call(method, f"/endpoint/acme/bot{path}", token="")).status == 401


# Authorisation


async def test_the_authorisation_matrix(local: Running) -> None:
    mint = local.platform.mint_live_token
    table: list[tuple[str, int, str | None]] = [
        ("", 401, "invalid_token"),
        ("abc", 401, "invalid_token"),
        ("ik_live_01234567_" + "0" * 64, 401, "invalid_token"),
        ("ik_sdk_01234567_" + "0" * 64, 401, "invalid_token"),
        (local.sdk, 403, "wrong_credential_type"),
        (mint("other/*"), 403, "project_scope_mismatch"),
        (mint("other/bot", "acme2/bot"), 403, "project_scope_mismatch"),
        (mint("acme/docs"), 403, "scope_insufficient"),
        (mint("acme/bot"), 200, None),
        (mint("acme/Bot", "other/*"), 200, None),
        (mint("acme/*"), 200, None),
    ]
    for token, status, code in table:
        answer = await local.call("GET", "/endpoint/acme/bot/v1/models", token=token)
        assert (answer.status, (answer.body.get("error") or {}).get("code")) == (status, code), (
            token
        )
    unknown = await local.call("GET", "/endpoint/acme/nobody/v1/models")
    assert (unknown.status, unknown.body["error"]["code"]) == (404, "workload_not_found")
    hidden = await local.call("GET", "/endpoint/acme/nobody/v1/models", token=mint("acme/bot"))
    assert hidden.status == 403


async def test_a_slug_may_be_written_in_any_form(local: Running) -> None:
    token = local.platform.mint_live_token("acme/bot")
    assert (await local.call("GET", "/endpoint/acme/BOT/v1/models", token=token)).status == 200


# Callers that leave


async def until_idle(local: Running, limit: float) -> float:
    """Wait until the text engine computes nothing; return how long that took.

    Only its speed shows that: with all four slots in use, a fifth call has to wait.
    """
    began = time.monotonic()
    answer = await asyncio.wait_for(
        local.call("POST", CHAT, json={"messages": MESSAGES, "max_tokens": 1, "temperature": 0}),
        limit,
    )
    assert answer.status == 200, answer
    return time.monotonic() - began


async def busy_with_all_slots(local: Running, streamed: bool) -> list[asyncio.Task[Any]]:
    calls = [
        asyncio.create_task(local.call("POST", CHAT, json={**LONG, "stream": streamed}))
        for _ in range(4)
    ]
    await asyncio.sleep(1.5)
    assert not [call for call in calls if call.done()]
    return calls


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_engine_stops_when_the_caller_leaves(local: Running, streamed: bool) -> None:
    calls = await busy_with_all_slots(local, streamed)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert await until_idle(local, 20) < 1.0


async def test_a_caller_that_leaves_the_queue_is_not_served(local: Running) -> None:
    calls = await busy_with_all_slots(local, True)
    waiting = [
        asyncio.create_task(local.call("POST", CHAT, json={**LONG, "stream": False}))
        for _ in range(8)
    ]
    await asyncio.sleep(0.2)
    for call in [*waiting, *calls]:
        call.cancel()
    await asyncio.wait([*waiting, *calls])
    assert await until_idle(local, 20) < 1.0


# Engines that die


async def comes_back(local: Running) -> None:
    """Wait until the workload serves again. Calls wait too, except in the moment of the death."""
    deadline = time.monotonic() + 0.5
    while (answer := await local.call("POST", CHAT, json=FIXED)).status == 502:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert answer.status == 200
    assert (await local.ready("bot"))[-1]["phase"] == "ready"


async def raw_post(
    local: Running, path: str, body: dict[str, Any], meanwhile: Callable[[], Awaitable[None]]
) -> str:
    """Return all bytes that the platform sends, to the end of the connection.

    A client would drop what it received before the connection was cut.
    """
    parts = urlsplit(local.platform.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    content = json.dumps(body)
    head = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {local.live}"]
    writer.write("\r\n".join([*head, f"Content-Length: {len(content)}", "", content]).encode())
    received = await reader.readuntil(b"\n\n")
    await meanwhile()
    received += await asyncio.wait_for(reader.read(-1), 10)
    writer.close()
    await writer.wait_closed()
    return received.decode()


async def kill_engine(local: Running, name: str) -> None:
    """Kill the engine whose log has this name, with SIGKILL."""
    [pid] = [
        pid
        for pid in platform_status(local.platform.data_dir).engines
        if any(name in word for word in psutil.Process(pid).cmdline())
    ]
    os.kill(pid, signal.SIGKILL)


async def test_an_engine_that_dies_in_a_stream_sends_an_error_and_restarts(local: Running) -> None:
    answer = await raw_post(
        local, CHAT, {**LONG, "stream": True}, meanwhile=lambda: kill_engine(local, "SmolLM2")
    )
    chunks = events(answer)
    assert "[DONE]" not in chunks
    assert len(chunks) > 2
    assert chunks[-1] == {
        "error": {
            "message": "the engine died in the middle of its response",
            "type": "server_error",
            "code": "engine_died",
        }
    }
    assert not answer.endswith("0\r\n\r\n"), (
        "a clean end would pass half an answer off as a whole one"
    )
    await comes_back(local)


async def test_an_engine_that_dies_before_its_response_is_a_502(local: Running) -> None:
    await local.ready("bot")
    call = asyncio.create_task(local.call("POST", CHAT, json=LONG))
    await asyncio.sleep(1.0)
    await kill_engine(local, "SmolLM2")
    answer = await call
    assert (answer.status, answer.body["error"]["code"]) == (502, "engine_died")
    await comes_back(local)
