"""Calls that no stand-in serves are refused before an engine is started for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from platforms import Running, running

from inferencekey.local.status import platform_status

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

BASE = "/endpoint/acme/bot"
AT_REST = {
    "execution_policy": "autoscaling",
    "execution_policy_config": {
        "min_workers": 0,
        "max_workers": 1,
        "workers": {"source": "private", "private_worker_ids": ["w"]},
    },
}


@pytest.fixture
async def local(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", hold=0.2, cache_dir=tmp_path / "no-models") as started:
        await started.create("bot", task_type="text2text", **AT_REST)
        [*_, last] = await started.ready("bot")
        assert last["message"] == "scaled to zero; the next call starts it"
        yield started


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", {"messages": []}, 400),
        (
            "POST",
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}], "n": 5},
            400,
        ),
        ("POST", "/v1/completions", {"prompt": ""}, 400),
        ("POST", "/v1/embeddings", {"input": "a text"}, 400),
        ("POST", "/v1/rerank", {"query": "q", "documents": ["d"]}, 400),
        ("POST", "/v1/images/generations", {"prompt": "a cat"}, 501),
        ("GET", "/v1/chat/completions", None, 405),
        ("POST", "/v1/whatever", {}, 404),
    ],
)
async def test_a_wrong_call_starts_no_engine(
    local: Running, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    answer = await local.call(method, BASE + path, json=body)
    assert answer.status == status, answer
    events = await local.ready("bot")
    assert [event["message"] for event in events] == ["scaled to zero; the next call starts it"]
    assert platform_status(local.platform.data_dir).engines == ()
