"""Installed programs through the whole platform: real clients, and programs on the `PATH`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from platforms.installing import install

from inferencekey import (
    AsyncDataClient,
    AsyncManagementClient,
    Backend,
    DataClient,
    ManagementClient,
    ReadinessError,
    WorkloadSpec,
)
from inferencekey.local import LocalPlatform
from inferencekey.local.engines.stand_ins.model_files import ensure_model
from inferencekey.local.engines.stand_ins.model_table import SMOLLM2

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


@pytest.fixture
async def platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> LocalPlatform:
    install(
        monkeypatch,
        tmp_path / "bin",
        llama_server="real_llama_server.py",
        vllm="tiny_openai.py vllm",
        sglang="tiny_openai.py sglang",
        ollama="tiny_ollama.py",
    )
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return LocalPlatform(data_dir=tmp_path / "data", port=0)


@pytest.mark.engine
async def test_a_command_of_llama_server_streams(platform: LocalPlatform) -> None:
    path = await asyncio.to_thread(ensure_model, SMOLLM2)
    spec = WorkloadSpec(
        name="bot",
        slug="bot",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        backend=Backend.LLAMACPP,
        command=f"llama-server -m {path} --alias smol --port 8080 -c 2048 --parallel 2",
    )
    async with platform:
        keys = {"base_url": platform.base_url, "project": "acme"}
        async with AsyncManagementClient(sdk_token=platform.mint_sdk_token("acme"), **keys) as mgmt:
            await mgmt.ensure(spec)
            event = await mgmt.wait_until_ready("bot", silent=True)
            assert event.message == (
                "smol answers, served by llama-server"
                " (the platform chooses the address and replaced --port 8080)"
            )
            assert (await mgmt.ensure(spec)).plan.action == "none"
        async with AsyncDataClient(api_key=platform.mint_live_token("acme/*"), **keys) as data:
            bot = data.endpoint("bot")
            async with bot.generate_text_stream(prompt="Hi", max_tokens=8, temperature=0) as stream:
                chunks = [chunk async for chunk in stream]
            assert stream.result is not None
            assert stream.result.text
            assert (stream.result.model, len(chunks) > 2) == ("smol", True)
            assert (
                await bot.generate_text(prompt="Hi", max_tokens=8, temperature=0)
            ).text == stream.result.text


async def test_every_backend_launches_its_own_program(platform: LocalPlatform) -> None:
    async with platform:
        keys = {"base_url": platform.base_url, "project": "acme"}

        def use(backend: Backend) -> str:
            slug = str(backend)
            spec = WorkloadSpec(name=slug, slug=slug, model="acme/model", backend=backend)
            with ManagementClient(sdk_token=platform.mint_sdk_token("acme"), **keys) as mgmt:
                mgmt.ensure(spec)
                return mgmt.wait_until_ready(slug, silent=True).message

        assert await asyncio.to_thread(use, Backend.VLLM) == "acme/model answers, served by vllm"
        assert (
            await asyncio.to_thread(use, Backend.SGLANG) == "acme/model answers, served by sglang"
        )
        assert (
            await asyncio.to_thread(use, Backend.OLLAMA)
            == "acme/model:latest answers, served by ollama"
        )

        def ask() -> str:
            with DataClient(api_key=platform.mint_live_token("acme/*"), **keys) as data:
                return "".join(
                    chunk.text for chunk in data.endpoint("vllm").generate_text_stream(prompt="Hi")
                )

        assert await asyncio.to_thread(ask) == "Hello from vllm"


async def test_a_program_that_keeps_dying_is_an_error_with_its_last_output(
    platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferencekey.local.engines.programs.pool.PAUSE_SECONDS", 0.05)
    command = "vllm serve m --say 'torch.OutOfMemoryError: CUDA out of memory' --exit 1"
    spec = WorkloadSpec(name="bot", slug="bot", model="m", backend=Backend.VLLM, command=command)
    async with platform:
        keys = {"base_url": platform.base_url, "project": "acme"}
        async with AsyncManagementClient(sdk_token=platform.mint_sdk_token("acme"), **keys) as mgmt:
            await mgmt.ensure(spec)
            steps: list[str | None] = []
            with pytest.raises(
                ReadinessError,
                match=r"vllm died 5 times in a row.*torch\.OutOfMemoryError: CUDA out",
            ):
                await mgmt.wait_until_ready(
                    "bot", on_progress=lambda event: steps.append(event.step)
                )
            assert [step for step in steps if step] == [f"restart {n} of 4" for n in (1, 2, 3, 4)]
