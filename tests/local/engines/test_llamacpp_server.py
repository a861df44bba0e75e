"""The stand-in engine's program, with the real llama.cpp and the real models."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from inferencekey.local.engines.process import EngineProcess
from inferencekey.local.engines.stand_ins.launch import PROGRAM
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import MINILM, SMOLLM2
from inferencekey.local.errors import EngineError

ROOT = Path(__file__).parents[3]
KEY = "engine-key"
AUTH = {"Authorization": f"Bearer {KEY}"}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def chat_model() -> Path:
    return ensure_model(SMOLLM2)


@asynccontextmanager
async def serving(folder: Path, model: Path, *options: str) -> AsyncIterator[EngineProcess]:
    command = [
        sys.executable,
        "-P",
        str(PROGRAM),
        "--model",
        str(model),
        "--alias",
        "the-alias",
        "--threads",
        "2",
    ]
    engine = EngineProcess(
        [*command, *options],
        folder=folder / "engine",
        log=folder / "engine.log",
        env={"INFERENCEKEY_ENGINE_KEY": KEY},
        name="llama.cpp",
    )
    await engine.start()
    try:
        await engine.wait_healthy(60)
        yield engine
    finally:
        await engine.stop()


async def post(engine: EngineProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(headers=AUTH, raise_for_status=True) as session,
        session.post(f"{engine.address}{path}", json=body) as answer,
    ):
        result: dict[str, Any] = await answer.json()
        return result


@pytest.mark.engine
async def test_chat(tmp_path: Path, chat_model: Path) -> None:
    async with serving(tmp_path, chat_model, "--parallel", "2", "--ctx", "4096") as engine:
        question = {
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 8,
            "temperature": 0,
            "seed": 1,
        }
        first = await post(engine, "/v1/chat/completions", {**question, "model": "support-bot"})
        again = await post(engine, "/v1/chat/completions", question)
        # Chat responses have the alias as their model, whatever the request had.
        assert first["model"] == again["model"] == "the-alias"
        assert (
            first["choices"][0]["message"]["content"]
            == again["choices"][0]["message"]["content"]
            != ""
        )
        assert first["usage"]["completion_tokens"] <= 8

        async with (
            aiohttp.ClientSession() as stranger,
            stranger.post(f"{engine.address}/v1/chat/completions", json=question) as answer,
        ):
            assert answer.status == 401
        assert KEY not in " ".join(psutil.Process(engine.pid).cmdline())
    assert engine.returncode == 0


@pytest.mark.engine
async def test_closing_a_stream_frees_its_slot(tmp_path: Path, chat_model: Path) -> None:
    endless = {
        "messages": [{"role": "user", "content": "Tell a story."}],
        "max_tokens": 1500,
        "stream": True,
        "ignore_eos": True,
    }
    short = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    async with (
        serving(tmp_path, chat_model, "--parallel", "1", "--ctx", "2048") as engine,
        aiohttp.ClientSession(headers=AUTH) as session,
    ):
        stream = await session.post(f"{engine.address}/v1/chat/completions", json=endless)
        await stream.content.readline()
        waiting = asyncio.create_task(post(engine, "/v1/chat/completions", short))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        stream.close()
        begin = time.monotonic()
        await waiting
        assert time.monotonic() - begin < 2


@pytest.mark.engine
async def test_embeddings(tmp_path: Path) -> None:
    texts = ["The cat sits on the mat.", "A feline rests on a rug.", "Stock prices fell on Monday."]
    model = await asyncio.to_thread(ensure_model, MINILM)
    async with serving(
        tmp_path, model, "--embedding", "--parallel", "4", "--ctx", "2048"
    ) as engine:
        answer = await post(engine, "/v1/embeddings", {"model": "vectors", "input": texts})
        cat, feline, stocks = (entry["embedding"] for entry in answer["data"])
        assert len(cat) == 384
        assert dot(cat, cat) == pytest.approx(1.0, abs=1e-4)
        assert dot(cat, feline) > 0.5 > 0.2 > dot(cat, stocks)
    assert engine.returncode == 0


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.engine
def test_an_engine_ends_when_its_platform_is_killed(tmp_path: Path, chat_model: Path) -> None:
    doomed = Path(__file__).parents[1] / "programs" / "doomed_platform.py"
    options = ["--model", str(chat_model), "--alias", "x", "--parallel", "1", "--ctx", "512"]
    with subprocess.Popen(
        [sys.executable, str(doomed), str(tmp_path), str(PROGRAM), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as platform:
        assert platform.stdout is not None
        pid = json.loads(platform.stdout.readline())["pid"]
        engine = psutil.Process(pid)
        platform.kill()
    psutil.wait_procs([engine], timeout=3)
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE


@pytest.mark.engine
@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all" * 1000])
async def test_rejects_a_file_that_is_not_a_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(EngineError, match=r"llama\.cpp cannot load .*model\.gguf: "):
        async with serving(tmp_path, tmp_path / "model.gguf"):
            pass


@pytest.mark.engine
async def test_rejects_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"the model file .*model\.gguf does not exist"):
        async with serving(tmp_path, tmp_path / "model.gguf"):
            pass


def report_of(*command: str, environment: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Run the program by hand; return its exit status and its report."""
    reading, writing = os.pipe()
    options = ["--model", "m.gguf", "--alias", "m", "--report-fd", str(writing)]
    child = subprocess.run(
        [*command, str(PROGRAM), *options],
        env={**os.environ, **environment},
        pass_fds=[writing],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading) as lines:
        return child.returncode, json.loads(lines.readline())


def test_without_xllamacpp() -> None:
    # -S: no site-packages, as in an environment that has only the SDK.
    status, report = report_of(sys.executable, "-P", "-S", environment={})
    assert status == 1
    assert report == {
        "error": "xllamacpp is not installed; install inferencekey with its extra 'local'"
    }


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            "ImportError('libgomp.so.1: cannot open shared object file')",
            "run: apt-get install libgomp1",
        ),
        ("ImportError('undefined symbol: x')", "xllamacpp cannot be imported: undefined symbol: x"),
        (
            "ModuleNotFoundError('No module named y', name='y')",
            "xllamacpp cannot be imported: No module named y",
        ),
    ],
)
def test_xllamacpp_that_cannot_be_imported(tmp_path: Path, failure: str, expected: str) -> None:
    (tmp_path / "xllamacpp.py").write_text(f"raise {failure}\n")
    status, report = report_of(sys.executable, "-P", environment={"PYTHONPATH": str(tmp_path)})
    assert status == 1
    assert expected in report["error"]
    assert "\n" not in report["error"]
