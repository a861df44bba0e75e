"""Loading a workload's model into ollama, which starts without one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import aiohttp
import orjson

from inferencekey.local.engines.engine import OnStep
from inferencekey.local.engines.programs.introspection import fetch_json, names_in
from inferencekey.local.errors import EngineError

__all__ = ["bring_model"]

SILENCE_SECONDS: Final = 300.0
LOAD_SECONDS: Final = 1800.0


async def bring_model(
    session: aiohttp.ClientSession, model: str, task_type: str, on_step: OnStep
) -> None:
    """Make ollama fetch a model, if it does not have it, and load it.

    Args:
        session: to the server.
        model: as in `ollama run MODEL`.
        task_type: of the workload; a model for embeddings is loaded over another path.
        on_step: receives progress.

    Raises:
        EngineError: the model cannot be fetched or loaded; in ollama's words.
        aiohttp.ClientError: the server is gone.
    """
    models = names_in(await fetch_json(session, "/api/tags"), "models", "name")
    # ollama adds the tag `latest` to a name without a tag.
    if model not in models and f"{model}:latest" not in models:
        await _pull(session, model, on_step)
    on_step("bootstrapping", f"ollama is loading {model}", None)
    await _load(session, model, task_type)


async def _pull(session: aiohttp.ClientSession, model: str, on_step: OnStep) -> None:
    reported = ""
    on_step("provisioning", f"ollama is fetching {model}", None)
    # A download has no limit as a whole; only silence is an error.
    timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_SECONDS)
    last: dict[str, Any] = {}
    async with session.post(
        "/api/pull", json={"model": model, "stream": True}, timeout=timeout
    ) as response:
        async for line in response.content:
            last = _parse(line)
            if "error" in last:
                break
            step = _step(last)
            if step != reported:
                reported = step
                on_step("provisioning", f"ollama is fetching {model}", step)
                # One read may hold many lines: let others see each step.
                await asyncio.sleep(0)
    if last.get("status") != "success":
        why = last.get("error") or f"it responded with status {response.status} and did not finish"
        raise EngineError(f"ollama cannot fetch {model}: {why}")


async def _load(session: aiohttp.ClientSession, model: str, task_type: str) -> None:
    # A request without a prompt loads the model and returns when it is loaded.
    path = "/api/generate"
    body: dict[str, Any] = {"model": model, "stream": False}
    if task_type == "embedding":
        path = "/api/embed"
        body["input"] = ""
    timeout = aiohttp.ClientTimeout(total=LOAD_SECONDS)
    async with session.post(path, json=body, timeout=timeout) as response:
        text = await response.content.read(4096)
    if response.status != 200:
        why = str(_parse(text).get("error", ""))[:500] or f"status {response.status}"
        raise EngineError(f"ollama cannot load {model}: {why}")


def _step(progress: Mapping[str, Any]) -> str:
    total, completed = progress.get("total"), progress.get("completed", 0)
    if isinstance(total, int) and isinstance(completed, int) and total > 0:
        return f"download {100 * completed // total} %"
    return str(progress.get("status", ""))[:200]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
