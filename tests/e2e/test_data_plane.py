"""The data plane: both clients, with the local platform and its real engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from platforms.up import Up

from inferencekey import (
    AsyncDataClient,
    AsyncEndpoint,
    DataClient,
    Endpoint,
    ManagementClient,
    NotFoundError,
    TaskType,
    ValidationError,
    WorkloadSpec,
)

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture(scope="module")
def ready(up: Up) -> Up:
    """A platform with a workload of each kind."""
    with ManagementClient(base_url=up.base_url, project="acme", sdk_token=up.sdk_token) as mgmt:
        for slug, task in (("chat", "text2text"), ("vectors", "embedding"), ("ranks", "reranker")):
            mgmt.ensure(
                WorkloadSpec(
                    name=slug, slug=slug, model="m", backend="llamacpp", task_type=TaskType(task)
                )
            )
            mgmt.wait_until_ready(slug, silent=True)
    return up


@pytest.fixture
async def data(ready: Up) -> AsyncIterator[AsyncDataClient]:
    async with AsyncDataClient(
        base_url=ready.base_url, project="acme", api_key=ready.api_key
    ) as client:
        yield client


@pytest.fixture
async def chat(data: AsyncDataClient) -> AsyncEndpoint:
    return data.endpoint("chat")


@pytest.fixture
def sync_data(ready: Up) -> Iterator[DataClient]:
    with DataClient(base_url=ready.base_url, project="acme", api_key=ready.api_key) as client:
        yield client


@pytest.fixture
def sync_chat(sync_data: DataClient) -> Endpoint:
    return sync_data.endpoint("Chat")


async def test_whole_streamed_and_sync_calls_give_the_same_text(
    chat: AsyncEndpoint, sync_chat: Endpoint
) -> None:
    arguments: Any = {"temperature": 0.0, "max_tokens": 24, "seed": 7}
    whole = await chat.generate_text("Name three colours.", **arguments)
    async with chat.generate_text_stream("Name three colours.", **arguments) as stream:
        streamed = "".join([c.text async for c in stream])
    sync_whole = await asyncio.to_thread(
        sync_chat.generate_text, "Name three colours.", **arguments
    )

    def read() -> str:
        with sync_chat.generate_text_stream("Name three colours.", **arguments) as chunks:
            return "".join(c.text for c in chunks)

    assert whole.text == streamed == sync_whole.text == await asyncio.to_thread(read)
    assert whole.text
    assert whole.model == stream.result.model == "SmolLM2-135M-Instruct"
    assert whole.finish_reason == stream.result.finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 24
    assert whole.request_id
    assert stream.request_id
    assert stream.result.text == streamed


async def test_the_other_arguments(chat: AsyncEndpoint) -> None:
    found = await chat.generate_text(
        messages=[
            {"role": "system", "content": "You count."},
            {"role": "user", "content": "Count to ten."},
        ],
        temperature=0,
        max_tokens=40,
        top_p=0.9,
        stop=["5"],
        extra_body={"n": 2},
    )
    assert "5" not in found.text
    assert len(found.raw["choices"]) == 2
    stream = chat.generate_text_stream(
        "Hi", max_tokens=4, extra_body={"stream_options": {"include_usage": True}}
    )
    chunks = [c async for c in stream]
    assert stream.result.usage is not None
    assert stream.result.usage.completion_tokens == 4
    assert chunks[-1].text == ""


async def test_embeddings_are_in_input_order(data: AsyncDataClient, sync_data: DataClient) -> None:
    vectors = data.endpoint("vectors")
    both = await vectors.embed(["first document", "second document"])
    one = await vectors.embed("second document")
    assert (len(both.embeddings), len(both.embeddings[0])) == (2, 384)
    assert both.embeddings[1] == pytest.approx(one.embeddings[0], abs=2e-2)
    assert both.model == "all-MiniLM-L6-v2"
    assert both.usage is not None
    sync = await asyncio.to_thread(
        sync_data.endpoint("vectors").embed, ["first document", "second document"]
    )
    assert sync.embeddings[0] == pytest.approx(both.embeddings[0], abs=2e-2)


async def test_rerank_returns_the_relevant_first(data: AsyncDataClient) -> None:
    documents = ["Bananas are yellow.", "Paris is the capital of France.", "Rust is a language."]
    found = await data.endpoint("ranks").rerank(
        "What is the capital of France?", documents, top_n=2
    )
    assert found.results[0].index == 1
    assert len(found.results) == 2
    assert found.results[0].relevance_score > found.results[1].relevance_score
    assert found.model == "all-MiniLM-L6-v2"


async def test_a_stream_arrives_token_by_token(chat: AsyncEndpoint) -> None:
    times = []
    async for c in chat.generate_text_stream("Tell me a story.", max_tokens=40, temperature=0):
        if c.text:
            times.append(time.monotonic())
    # If anything buffered the stream, all chunks would arrive together.
    assert len({round(t, 2) for t in times}) > 10


async def test_leaving_a_stream_frees_the_engine(chat: AsyncEndpoint) -> None:
    streams = [
        chat.generate_text_stream("Write a very long story.", max_tokens=1500) for _ in range(4)
    ]
    for stream in streams:
        await anext(stream)
    for stream in streams:
        await stream.aclose()
    began = time.monotonic()
    await chat.generate_text("Hi", max_tokens=1)
    # Otherwise all four slots would be busy for half a minute more.
    assert time.monotonic() - began < 8


async def test_cancelling_a_whole_call_frees_the_engine(chat: AsyncEndpoint) -> None:
    calls = [
        asyncio.create_task(chat.generate_text("Write a very long story.", max_tokens=1500))
        for _ in range(4)
    ]
    await asyncio.sleep(1)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    began = time.monotonic()
    await chat.generate_text("Hi", max_tokens=1)
    assert time.monotonic() - began < 8


async def test_bad_bodies_are_bad_requests(chat: AsyncEndpoint, data: AsyncDataClient) -> None:
    with pytest.raises(ValidationError, match="^bad request: ") as caught:
        await chat.generate_text("Hi", extra_body={"temperature": 99})
    assert (caught.value.status, bool(caught.value.request_id)) == (400, True)
    with pytest.raises(ValidationError, match="^bad request: "):
        await chat.generate_text_stream(messages=[{"role": "wizard", "content": "x"}])
    with pytest.raises(ValidationError, match="^bad request: "):
        await data.endpoint("vectors").generate_text("Hi")
    with pytest.raises(ValidationError, match="^bad request: "):
        await chat.generate_text("word " * 9000)
    with pytest.raises(NotFoundError, match="^not found: "):
        await data.endpoint("no-such-workload").generate_text("Hi")
