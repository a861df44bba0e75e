"""Calls to installed programs: requests and responses are passed on unchanged."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from platforms import Running, running
from platforms.installing import install

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

BASE = "/endpoint/acme/echo"
CHAT = f"{BASE}/v1/chat/completions"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def local(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("forward")
    with pytest.MonkeyPatch.context() as patch:
        install(patch, folder / "bin", echo="echo_engine.py")
        async with running(folder / "data") as started:
            await started.create(
                "echo",
                task_type="text2text",
                backend="my-engine",
                config={"command": "echo the-model --port {port}"},
            )
            events = await started.ready("echo")
            assert events[-1]["phase"] == "ready", events
            yield started


async def seen(local: Running, method: str, path: str, **options: Any) -> dict[str, Any]:
    answer = await local.call(method, BASE + path, **options)
    assert answer.status == 200, answer
    return {**answer.body, "body": base64.b64decode(answer.body["body"])}


async def test_a_body_is_sent_unchanged_except_for_the_model(local: Running) -> None:
    """The program may accept what no stand-in accepts."""
    body = {"model": "echo", "messages": [], "n": 99, "temperature": 7, "own": {"a": [1, None]}}
    found = await seen(local, "POST", "/v1/chat/completions", json=body)
    assert json.loads(found["body"]) == {**body, "model": "the-model"}
    assert (found["method"], found["type"]) == ("POST", "application/json")
    assert "ik_live" not in str(found["key"]), "the caller's key is not sent"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/completions",
        "/v1/images/generations",
        "/v1/anything/else?a=b%20c&d=%26",
    ],
)
async def test_every_path_below_v1_goes_to_the_program(local: Running, path: str) -> None:
    found = await seen(local, "POST", path, json={"dimensions": 7})
    assert found["path"] == path
    assert json.loads(found["body"]) == {"dimensions": 7, "model": "the-model"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_go_to_the_program(local: Running, method: str) -> None:
    found = await seen(local, method, "/v1/files/f-1")
    assert (found["method"], found["path"], found["body"]) == (method, "/v1/files/f-1", b"")


async def test_a_body_that_is_not_json_is_sent_byte_for_byte(local: Running) -> None:
    data = bytes(range(256)) * 4096
    found = await seen(local, "POST", "/v1/raw", data=data, headers={"Content-Type": "audio/wav"})
    assert (found["body"], found["type"]) == (data, "audio/wav")


async def test_a_form_gets_the_programs_model(local: Running) -> None:
    form = aiohttp.FormData()
    form.add_field("model", "echo")
    form.add_field("file", b"RIFF\x00\xff", filename="a.wav", content_type="audio/wav")
    found = await seen(local, "POST", "/v1/audio/transcriptions", data=form)
    assert b"\r\n\r\nthe-model\r\n" in found["body"]
    assert b"RIFF\x00\xff" in found["body"]


async def test_bytes_are_returned_unchanged(local: Running) -> None:
    headers = {"Authorization": f"Bearer {local.live}"}
    async with local.http.post(
        f"{BASE}/v1/audio/speech", json={"input": "hi"}, headers=headers
    ) as answer:
        assert await answer.read() == bytes(range(256)) * 64
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.content_length == 256 * 64
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
async def test_errors_are_returned_unchanged(local: Running, status: int) -> None:
    answer = await local.call("POST", f"{BASE}/v1/status/{status}", json={})
    assert (answer.status, answer.body) == (status, {"detail": "as asked"})


async def test_a_long_error_is_cut(local: Running) -> None:
    answer = await local.call("POST", f"{BASE}/v1/huge", json={})
    assert (answer.status, len(answer.body)) == (400, 64 * 1024)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_of_the_platforms_key_is_a_502(local: Running, status: int) -> None:
    answer = await local.call("POST", f"{BASE}/v1/status/{status}", json={})
    assert (answer.status, answer.body["error"]["code"]) == (502, "engine_error")


async def streamed(local: Running, body: dict[str, Any]) -> bytes:
    headers = {"Authorization": f"Bearer {local.live}"}
    async with local.http.post(CHAT, json={**body, "stream": True}, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        return await answer.read()


async def test_a_stream_is_returned_unchanged(local: Running) -> None:
    events = (await streamed(local, {"n": 99})).split(b"\n\n")
    assert len(events) == 6
    told = json.loads(
        json.loads(events[0].removeprefix(b"data: "))["choices"][0]["delta"]["content"]
    )
    assert told == {"n": 99, "stream": True, "model": "the-model"}
    assert events[-2:] == [b"data: [DONE]", b""]


async def test_a_stream_that_ends_normally_needs_no_done(local: Running) -> None:
    """Not every API of a program ends its streams with `[DONE]`."""
    text = await streamed(local, {"no_done": True})
    assert b"error" not in text
    assert text.endswith(b'the-model"}, "finish_reason": null}]}\n\n')


async def broken(local: Running, body: dict[str, Any], path: str = CHAT) -> bytes:
    """Return what is received of a stream before its connection is cut."""
    headers = {"Authorization": f"Bearer {local.live}"}
    got = b""
    async with local.http.post(path, json={**body, "stream": True}, headers=headers) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            while part := await answer.content.readany():
                got += part
    return got


async def comes_back(local: Running) -> None:
    """Wait until the program serves again. A call may still meet the process that is dying."""
    async with asyncio.timeout(10):
        while (answer := await local.call("POST", CHAT, json={})).status == 502:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert answer.status == 200


@pytest.mark.parametrize("path", [CHAT, f"{BASE}/v1/completions"])
@pytest.mark.parametrize("how", [{"die": True}, {"no_done": True}])
async def test_half_a_text_is_never_a_whole_one(
    local: Running, path: str, how: dict[str, Any]
) -> None:
    """A program that ends a response by closing its connection looks the same when killed."""
    got = await broken(local, {"bare": True, **how}, path)
    assert b'"code":"engine_died"' in got.split(b"\n\n")[-2]
    await comes_back(local)


@pytest.mark.parametrize("how", [{}, {"no_done": True}])
async def test_a_stream_that_ends_with_its_connection_is_whole_with_a_finish_reason(
    local: Running, how: dict[str, Any]
) -> None:
    text = await streamed(local, {"bare": True, "finish": True, **how})
    assert b"engine_died" not in text
    assert text.rstrip().endswith(b'"usage": {"total_tokens": 9}}' if how else b"[DONE]")


async def test_a_stream_of_another_api_ends_with_its_connection(local: Running) -> None:
    headers = {"Authorization": f"Bearer {local.live}"}
    body = {"stream": True, "bare": True, "no_done": True}
    async with local.http.post(f"{BASE}/v1/responses", json=body, headers=headers) as answer:
        assert b"engine_died" not in await answer.read()


async def test_a_stream_that_breaks_ends_with_an_error_event(local: Running) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await streamed(local, {"die": True})
    answer = await local.call("POST", CHAT, json={"after": "the death"})
    assert answer.status in (200, 502)
    await comes_back(local)
    assert (await local.ready("echo"))[-1]["phase"] == "ready"


async def test_half_a_response_ends_with_a_cut_connection(local: Running) -> None:
    headers = {"Authorization": f"Bearer {local.live}"}
    async with local.http.post(f"{BASE}/v1/half", json={}, headers=headers) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_closing_the_callers_connection_closes_the_programs(
    local: Running,
) -> None:
    call = asyncio.create_task(local.call("POST", CHAT, json={"wait": True}))
    await told(local, "computing")
    assert not call.done()
    call.cancel()
    await asyncio.wait([call])
    await told(local, "left")


async def told(local: Running, what: str) -> None:
    """Wait until the program, which is another process, reports it."""
    async with asyncio.timeout(10):
        while not (await local.call("GET", f"{BASE}/v1/left")).body[what]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/v1/../health", "/v1/%2e%2e/health", "/v1/a/..%2f..%2fhealth"])
async def test_rejects_paths_with_dot_segments(local: Running, path: str) -> None:
    from yarl import URL

    url = URL(local.platform.base_url + BASE + path, encoded=True)
    async with local.http.get(url, headers={"Authorization": f"Bearer {local.live}"}) as answer:
        assert answer.status == 404


async def test_the_platform_serves_its_own_paths_itself(local: Running) -> None:
    models = await local.call("GET", f"{BASE}/v1/models")
    assert [model["id"] for model in models.body["data"]] == ["the-model"]
    assert (await local.call("POST", f"{BASE}/jobs", json={})).status == 501
    assert (await local.call("POST", f"{BASE}/forecast", json={})).status == 501
    assert (await local.call("POST", CHAT, data=b"{")).status == 400
    assert (await local.call("POST", f"{BASE}/v1/embeddings", token="", json={})).status == 401
