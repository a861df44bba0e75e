"""The data plane's JSON, written by hand: exactly what we send, and exactly what we read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inferencekey._core.data.chat_request import chat_body
from inferencekey._core.data.chat_response import text_result
from inferencekey._core.data.chat_stream import ChatStream
from inferencekey._core.data.embeddings import embed_body, embedding_result
from inferencekey._core.data.rerank import rerank_body, rerank_result
from inferencekey._core.data.sse import SSEDecoder
from inferencekey._core.json import dumps
from inferencekey.models import RerankItem, Usage

HERE = Path(__file__).parent


def golden(name: str) -> Any:
    return json.loads((HERE / f"{name}.json").read_text("utf-8"))


def test_the_request_for_a_text() -> None:
    body = chat_body(
        model="support-bot",
        prompt="Hola, ¿cómo puedo cancelar mi pedido?",
        messages=None,
        temperature=0.2,
        max_tokens=300,
    )
    assert json.loads(dumps(body)) == golden("chat_body")


def test_the_request_for_a_stream() -> None:
    body = chat_body(
        model="support-bot",
        prompt=None,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hola"}],
        temperature=0,
        max_tokens=16,
        top_p=0.9,
        stop=["\n\n"],
        seed=7,
        extra_body={"stream_options": {"include_usage": True}},
        stream=True,
    )
    assert json.loads(dumps(body)) == golden("chat_stream_body")


def test_a_text() -> None:
    result = text_result((HERE / "chat_answer.json").read_bytes())
    assert (result.text, result.model, result.finish_reason) == (
        "Claro.",
        "meta-llama/Llama-3.1-8B-Instruct",
        "stop",
    )
    assert result.usage == Usage(12, 3, 15)
    assert result.raw == golden("chat_answer")


def test_a_stream() -> None:
    decoder, stream = SSEDecoder(), ChatStream()
    chunks = [stream.take(event) for event in decoder.feed((HERE / "chat_stream.sse").read_bytes())]
    stream.end(decoder.finish())
    assert [chunk and (chunk.text, chunk.finish_reason) for chunk in chunks] == [
        ("", None),
        ("Cla", None),
        ("ro.", None),
        ("", "stop"),
        ("", None),
        None,
    ]
    result = stream.result()
    assert (result.text, result.model, result.finish_reason, result.usage) == (
        "Claro.",
        "llama",
        "stop",
        Usage(12, 3, 15),
    )


def test_embeddings() -> None:
    assert json.loads(
        dumps(embed_body("billing", ["first document", "second document"]))
    ) == golden("embeddings_body")
    result = embedding_result((HERE / "embeddings_answer.json").read_bytes(), 2)
    assert result.embeddings == [[1.0, 0], [0.25, -0.5]]
    assert (result.model, result.usage) == ("all-minilm-l6-v2", Usage(4, None, 4))


def test_rerank() -> None:
    body = rerank_body("ranker", "refund", ["shipping takes 3 days", "refunds take 5 days"], 1)
    assert json.loads(dumps(body)) == golden("rerank_body")
    result = rerank_result((HERE / "rerank_answer.json").read_bytes(), 2)
    assert result.results == (RerankItem(1, 0.98), RerankItem(0, 0.02))
    assert result.model is None
