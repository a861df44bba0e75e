"""The options that calls of an endpoint share: they are sent, and unknown ones are rejected."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from faults import Connection, FaultServer, Request, events, json_response, sse_head
from faults.calls import KEY

from inferencekey import AsyncDataClient, AsyncEndpoint, CallOptions, DataClient, TextOptions

WAYS = pytest.mark.parametrize("way", ["async", "sync"])

RESPONSES = {
    "chat/completions": {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]},
    "embeddings": {"data": [{"index": 0, "embedding": [1.0]}]},
    "rerank": {"results": [{"index": 0, "relevance_score": 1.0}]},
}

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "generate_text": ("Hola",),
    "generate_text_stream": ("Hola",),
    "embed": ("Hola",),
    "rerank": ("Hola", ["a"]),
}

OPTIONS: dict[str, type[CallOptions]] = {
    "generate_text": TextOptions,
    "generate_text_stream": TextOptions,
    "embed": CallOptions,
    "rerank": CallOptions,
}

METHODS = pytest.mark.parametrize("method", ARGUMENTS)


async def respond(connection: Connection, request: Request) -> None:
    if request.json.get("stream"):
        await connection.send(sse_head(), *events("a"))
    else:
        path = request.path.partition("/v1/")[2]
        await connection.send(json_response(RESPONSES[path]))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(respond) as server:
        yield server


def call(way: str, server: FaultServer, method: str, **options: Any) -> dict[str, Any]:
    """Make one call, and return the body that the server got."""
    given: dict[str, Any] = {"base_url": server.url, "project": "acme", "api_key": KEY}
    if way == "sync":
        with DataClient(**given) as data:
            result = getattr(data.endpoint("bot"), method)(*ARGUMENTS[method], **options)
            if method.endswith("_stream"):
                list(result)
    else:

        async def awaited() -> None:
            async with AsyncDataClient(**given) as data:
                result = getattr(data.endpoint("bot"), method)(*ARGUMENTS[method], **options)
                if method.endswith("_stream"):
                    async for _ in result:
                        pass
                else:
                    await result

        asyncio.run(awaited())
    body: dict[str, Any] = server.requests[-1].json
    return body


@WAYS
@pytest.mark.parametrize("method", ["generate_text", "generate_text_stream"])
def test_sends_every_option_of_generated_text(way: str, server: FaultServer, method: str) -> None:
    options = {"top_p": 0.5, "stop": ["x"], "seed": 7, "extra_body": {"n": 1}, "timeout": 5}
    assert {*options} == TextOptions.__optional_keys__
    plain = call(way, server, method)
    body = call(way, server, method, **options)
    assert body == {**plain, "top_p": 0.5, "stop": ["x"], "seed": 7, "n": 1}


@WAYS
@pytest.mark.parametrize("method", ["embed", "rerank"])
def test_sends_every_option_of_any_call(way: str, server: FaultServer, method: str) -> None:
    options = {"extra_body": {"dimensions": 1}, "timeout": 5}
    assert {*options} == CallOptions.__optional_keys__
    plain = call(way, server, method)
    assert call(way, server, method, **options) == {**plain, "dimensions": 1}


@WAYS
@METHODS
def test_does_not_send_an_option_that_is_none(way: str, server: FaultServer, method: str) -> None:
    plain = call(way, server, method)
    options = dict.fromkeys(OPTIONS[method].__optional_keys__)
    assert call(way, server, method, **options) == plain


@WAYS
@METHODS
@pytest.mark.parametrize(
    ("given", "nearest"), [("time_out", "timeout"), ("extra_bdy", "extra_body")]
)
def test_rejects_an_unknown_option(
    way: str, server: FaultServer, method: str, given: str, nearest: str
) -> None:
    with pytest.raises(TypeError) as caught:
        call(way, server, method, **{given: 1})
    assert str(caught.value) == (
        f"{method}() got an unexpected keyword argument {given!r}; did you mean {nearest!r}?"
    )
    assert server.requests == []


@WAYS
@pytest.mark.parametrize(
    ("method", "given", "nearest"),
    [
        ("generate_text", "topp", "top_p"),
        ("generate_text", "temprature", "temperature"),
        ("generate_text_stream", "strict", "strict_end"),
        ("generate_text_stream", "seeds", "seed"),
        ("rerank", "topn", "top_n"),
    ],
)
def test_names_the_nearest_argument(
    way: str, server: FaultServer, method: str, given: str, nearest: str
) -> None:
    with pytest.raises(TypeError, match=f"{given!r}; did you mean {nearest!r}"):
        call(way, server, method, **{given: 1})


@WAYS
@pytest.mark.parametrize("method", ["embed", "rerank"])
def test_rejects_an_option_of_another_method(way: str, server: FaultServer, method: str) -> None:
    with pytest.raises(TypeError, match=rf"{method}\(\) got an unexpected keyword argument 'seed'"):
        call(way, server, method, seed=7)


@WAYS
def test_an_unknown_option_without_a_similar_one(way: str, server: FaultServer) -> None:
    with pytest.raises(TypeError) as caught:
        call(way, server, "generate_text", zzz=1)
    assert str(caught.value) == "generate_text() got an unexpected keyword argument 'zzz'"


@METHODS
def test_the_docstring_names_every_option(method: str) -> None:
    doc = inspect.getdoc(getattr(AsyncEndpoint, method)) or ""
    options = OPTIONS[method]
    assert f":class:`{options.__name__}`" in doc
    assert [name for name in options.__optional_keys__ if f"``{name}``" not in doc] == []


@pytest.mark.parametrize("options", [CallOptions, TextOptions])
def test_every_option_is_documented(options: type[CallOptions]) -> None:
    documented = "".join(inspect.getdoc(base) or "" for base in {CallOptions, options})
    assert [name for name in options.__optional_keys__ if f"{name}: " not in documented] == []
