"""Generated text, whole and streamed, from a server whose every byte the test chooses."""

from __future__ import annotations

import asyncio
import gc

import pytest
from faults import Connection, FaultServer, Request, chunk, events, head, json_response, sse_head

from inferencekey import (
    AsyncDataClient,
    AsyncEndpoint,
    AsyncManagementClient,
    GenerationFailed,
    PermissionDenied,
    RequestTimeout,
    ResponseFormatError,
    StreamInterrupted,
    TransportError,
    ValidationError,
)

pytestmark = pytest.mark.anyio

KEY = "ik_live_0a1b2c3d_" + "e" * 64

ANSWER = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hola"}, "finish_reason": "stop"}
    ],
    "model": "real-model",
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def endpoint(client: AsyncDataClient) -> AsyncEndpoint:
    return client.endpoint("support-bot", api_key=KEY)


def client(server: FaultServer, **options: object) -> AsyncDataClient:
    return AsyncDataClient(base_url=server.url, project="acme", **options)  # type: ignore[arg-type]


def stream_of(*pieces: bytes, end: bytes = chunk(b""), pause: float = 0.0):
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(x_request_id="req-1"), *pieces, end, pause=pause)

    return script


async def test_a_whole_response() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(json_response(ANSWER, x_request_id="req-7"))

    with FaultServer(script) as server:
        async with client(server) as data:
            result = await endpoint(data).generate_text(
                prompt="Hola", temperature=0.2, max_tokens=300
            )
    assert (result.text, result.model, result.finish_reason) == ("Hola", "real-model", "stop")
    assert result.usage is not None
    assert result.usage.total_tokens == 4
    assert result.raw == ANSWER
    assert result.request_id == "req-7"
    request = server.requests[0]
    assert request.path == "/endpoint/acme/support-bot/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"]
    assert request.json == {
        "model": "support-bot",
        "messages": [{"role": "user", "content": "Hola"}],
        "temperature": 0.2,
        "max_tokens": 300,
    }


async def test_a_stream_can_be_awaited_iterated_and_used_in_a_block() -> None:
    with FaultServer(stream_of(*events("a", "b", "c"))) as server:
        async with client(server) as data:
            stream = await endpoint(data).generate_text_stream(prompt="x")
            assert [c.text async for c in stream] == ["a", "b", "c", ""]
            assert stream.result.text == "abc"
            assert stream.result.finish_reason == "stop"
            assert stream.request_id == "req-1"
            async with endpoint(data).generate_text_stream(prompt="x") as stream:
                assert (await anext(stream)).text == "a"
            assert [c.text async for c in stream] == []
            texts = [c.text async for c in endpoint(data).generate_text_stream(prompt="x")]
            assert texts == ["a", "b", "c", ""]
    assert server.requests[0].json["stream"] is True


async def test_a_finished_stream_returns_its_connection_to_the_pool() -> None:
    with FaultServer(stream_of(*events("a"))) as server:
        async with client(server) as data:
            for _ in range(3):
                async for _ in endpoint(data).generate_text_stream(prompt="x"):
                    pass
        assert len(server.connections) == 1


async def test_the_last_bytes_after_done_may_come_late() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a"))
        await asyncio.sleep(0.05)
        await connection.send(chunk(b""))

    with FaultServer(script) as server:
        async with client(server) as data:
            assert [c.text async for c in endpoint(data).generate_text_stream(prompt="x")] == [
                "a",
                "",
            ]
            await asyncio.sleep(0.15)
            assert [c.text async for c in endpoint(data).generate_text_stream(prompt="x")] == [
                "a",
                "",
            ]
        assert len(server.connections) == 1


async def test_a_response_that_does_not_end_after_done_is_closed() -> None:
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a"))
        if await connection.until_gone():
            loop.call_soon_threadsafe(left.set)

    with FaultServer(script) as server:
        async with client(server) as data:
            assert [c.text async for c in endpoint(data).generate_text_stream(prompt="x")] == [
                "a",
                "",
            ]
            await asyncio.wait_for(left.wait(), 2)


@pytest.mark.parametrize("how", ["clean end", "cut chunk", "reset", "half an event"])
@pytest.mark.parametrize("slow", [False, True])
async def test_an_end_without_done_is_an_interruption(how: str, slow: bool) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a", "b", finish=None, done=False))
        if how == "clean end":
            await connection.send(chunk(b""))
        elif how == "cut chunk":
            await connection.send(b"20\r\nda")
            connection.close()
        elif how == "half an event":
            await connection.send(chunk(b'data: {"choices":[{"delta":{"con'), chunk(b""))
        else:
            await asyncio.sleep(0.1)
            connection.reset()

    with FaultServer(script) as server:
        async with client(server) as data:
            stream = endpoint(data).generate_text_stream(prompt="x")
            got = []
            with pytest.raises(StreamInterrupted) as caught:
                async for c in stream:
                    got.append(c.text)
                    if slow:
                        await asyncio.sleep(0.15)
            assert got == ["a", "b"]
            assert caught.value.partial_text == "ab"
            assert caught.value.result is not None
            assert str(caught.value).startswith("network error: ")
        assert len(server.requests) == 1


async def test_a_finish_reason_without_done_completes_a_stream() -> None:
    with FaultServer(stream_of(*events("a", done=False))) as server:
        async with client(server) as data:
            assert [c.text async for c in endpoint(data).generate_text_stream(prompt="x")] == [
                "a",
                "",
            ]


async def test_an_error_in_the_stream_is_raised_after_the_chunks_before_it() -> None:
    pieces = [
        *events("a", finish=None, done=False),
        chunk(b'data: {"error":{"message":"slot lost","code":500}}\n\n'),
    ]
    with FaultServer(stream_of(b"".join(pieces))) as server:
        async with client(server) as data:
            got = []
            with pytest.raises(GenerationFailed, match="slot lost") as caught:
                async for c in endpoint(data).generate_text_stream(prompt="x"):
                    got.append(c.text)
            assert got == ["a"]
            assert caught.value.partial_text == "a"


@pytest.mark.parametrize(
    "way", ["block", "aclose", "break and drop", "cancel", "aclose from another task"]
)
async def test_leaving_a_stream_closes_the_connection(way: str) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
        await connection.until_gone()

    with FaultServer(script) as server:
        async with client(server) as data:
            if way == "block":
                async with endpoint(data).generate_text_stream(prompt="x") as stream:
                    await anext(stream)
            elif way == "aclose":
                stream = await endpoint(data).generate_text_stream(prompt="x")
                await anext(stream)
                await stream.aclose()
            elif way == "break and drop":
                async for _ in endpoint(data).generate_text_stream(prompt="x"):
                    break
                gc.collect()
            elif way == "cancel":

                async def read() -> None:
                    async for _ in endpoint(data).generate_text_stream(prompt="x"):
                        pass

                task = asyncio.create_task(read())
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                stream = await endpoint(data).generate_text_stream(prompt="x")

                async def rest() -> list[str]:
                    return [c.text async for c in stream]

                task2 = asyncio.create_task(rest())
                await asyncio.sleep(0.1)
                await stream.aclose()
                assert await asyncio.wait_for(task2, 1) == ["a"]
            assert await asyncio.to_thread(server.connections[0].gone.wait, 1)


async def test_a_silent_stream_times_out_and_keeps_its_text() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head(), *events("a", finish=None, done=False))
        await connection.until_gone()

    with FaultServer(script) as server:
        async with client(server) as data:
            stream = endpoint(data).generate_text_stream(prompt="x", timeout=0.3)
            assert (await anext(stream)).text == "a"
            with pytest.raises(RequestTimeout, match="silent") as caught:
                await anext(stream)
            assert isinstance(caught.value, TimeoutError)
            assert stream.result.text == "a"


async def test_comments_alone_do_not_keep_a_stream_alive() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(sse_head())
        for _ in range(40):
            await connection.send(chunk(b": still here\n\n"), pause=0.05)

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(RequestTimeout, match="keep-alive"):
                await anext(endpoint(data).generate_text_stream(prompt="x", timeout=0.4))


async def test_rejects_a_json_document_instead_of_a_stream() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(json_response(ANSWER))

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(ResponseFormatError, match="a stream was requested"):
                await endpoint(data).generate_text_stream(prompt="x")


async def test_a_refusal_is_raised_by_await() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(
            json_response({"error": "scope_insufficient"}, 403, x_request_id="req-9")
        )

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(
                PermissionDenied, match=r"permission denied \[scope_insufficient\]: "
            ) as caught:
                await endpoint(data).generate_text_stream(prompt="x")
            assert (caught.value.code, caught.value.status, caught.value.request_id) == (
                "scope_insufficient",
                403,
                "req-9",
            )
            with pytest.raises(ValidationError):
                endpoint(data).generate_text_stream(prompt="x", messages=[])


async def test_503_is_retried_with_the_same_key() -> None:
    async def busy(connection: Connection, request: Request) -> None:
        await connection.send(json_response({"error": "busy"}, 503, retry_after="0"))

    async def fine(connection: Connection, request: Request) -> None:
        await connection.send(json_response(ANSWER))

    with FaultServer(busy, busy, fine) as server:
        async with client(server) as data:
            assert (await endpoint(data).generate_text(prompt="x")).text == "Hola"
    assert len({r.headers["idempotency-key"] for r in server.requests}) == 1
    assert len(server.requests) == 3
    assert len(server.connections) == 1


async def test_a_dead_pooled_connection_is_replaced_at_once() -> None:
    async def fine_then_die(connection: Connection, request: Request) -> None:
        if connection.served == 1:
            await connection.send(json_response(ANSWER))
        else:
            connection.reset()

    with FaultServer(fine_then_die) as server:
        async with client(server, retry=None) as data:
            for _ in range(3):
                assert (await endpoint(data).generate_text(prompt="x")).text == "Hola"
    assert len(server.connections) == 3


async def test_a_cut_response_is_a_transport_error() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(
            head(200, content_type="application/json", content_length="100") + b'{"choices"'
        )
        connection.close()

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(TransportError, match="cut short"):
                await endpoint(data).generate_text(prompt="x")


async def test_the_total_timeout_limits_the_call() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(head(200, content_type="application/json", content_length="100"))
        for _ in range(40):
            await connection.send(b" ", pause=0.1)

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(RequestTimeout):
                await endpoint(data).generate_text(prompt="x", timeout=0.5)


async def test_a_refused_connection_is_a_transport_error() -> None:
    with FaultServer(stream_of()) as server:
        url = server.url
    async with AsyncDataClient(base_url=url, project="acme", retry=None) as data:
        with pytest.raises(TransportError, match="network error: ") as caught:
            await endpoint(data).generate_text(prompt="x")
        assert caught.value.attempts == 1


async def test_a_redirect_is_not_followed() -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(head(307, location="http://evil.test/", content_length="0"))

    with FaultServer(script) as server:
        async with client(server) as data:
            with pytest.raises(
                Exception, match=r"api error \(status 307\): redirected to http://evil\.test/"
            ):
                await endpoint(data).generate_text(prompt="x")
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_rejects_a_page_instead_of_readiness_events(kind: str) -> None:
    async def script(connection: Connection, request: Request) -> None:
        await connection.send(head(200, content_type=kind, content_length="2") + b"{}")

    with FaultServer(script) as server:
        token = "ik_sdk_0a1b2c3d_" + "e" * 64
        async with AsyncManagementClient(
            base_url=server.url, project="acme", sdk_token=token
        ) as mgmt:
            with pytest.raises(ResponseFormatError, match=f"{kind} instead of readiness events"):
                await mgmt.wait_until_ready("bot", silent=True, timeout=5)
