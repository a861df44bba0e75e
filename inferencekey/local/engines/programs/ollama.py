"""ollama serves whatever it has: the workload's model is fetched, if it is not there, and loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import aiohttp
import orjson

from inferencekey.local.engines.programs.served import fetch_json
from inferencekey.local.engines.shared_engine import OnStep
from inferencekey.local.errors import EngineError

__all__ = ["bring_model"]

SILENCE_SECONDS: Final = 300.0
LOAD_SECONDS: Final = 1800.0


async def bring_model(
    session: aiohttp.ClientSession, model: str, task_type: str, tell: OnStep
) -> None:
    """Have ollama fetch a model, with its progress, and load it.

    Args:
        session: to the server.
        model: as in `ollama run MODEL`.
        task_type: of the workload; a model for embeddings is loaded by another path.
        tell: gets phase, message and step.

    Raises:
        EngineError: it cannot be fetched or loaded; in ollama's words.
        aiohttp.ClientError: the server is gone.
    """
    tags = await fetch_json(session, "/api/tags")
    if not _has(tags, model):
        await _pull(session, model, tell)
    tell("bootstrapping", f"ollama is loading {model}", None)
    path, body = (
        ("/api/embed", {"input": ""}) if task_type == "embedding" else ("/api/generate", {})
    )
    timeout = aiohttp.ClientTimeout(total=LOAD_SECONDS)
    async with session.post(
        path, json={"model": model, "stream": False, **body}, timeout=timeout
    ) as answer:
        said = await answer.content.read(4096)
    if answer.status != 200:
        raise EngineError(
            f"ollama cannot load {model}: {_error(said) or f'status {answer.status}'}"
        )


async def _pull(session: aiohttp.ClientSession, model: str, tell: OnStep) -> None:
    told = ""
    tell("provisioning", f"ollama is fetching {model}", None)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE_SECONDS)
    async with session.post(
        "/api/pull", json={"model": model, "stream": True}, timeout=timeout
    ) as answer:
        last: dict[str, Any] = {}
        async for line in answer.content:
            last = _parsed(line)
            if "error" in last:
                break
            step = _step(last)
            if step != told:
                told = step
                tell("provisioning", f"ollama is fetching {model}", step)
                await asyncio.sleep(0)
    if last.get("status") != "success":
        why = last.get("error") or f"it answered with status {answer.status} and did not finish"
        raise EngineError(f"ollama cannot fetch {model}: {why}")


def _has(tags: object, model: str) -> bool:
    models = cast("dict[str, object]", tags).get("models") if isinstance(tags, dict) else None
    entries = cast("list[object]", models) if isinstance(models, list) else []
    names = [
        cast("dict[str, object]", entry).get("name") for entry in entries if isinstance(entry, dict)
    ]
    return model in names or f"{model}:latest" in names


def _step(said: Mapping[str, Any]) -> str:
    total, completed = said.get("total"), said.get("completed", 0)
    if isinstance(total, int) and isinstance(completed, int) and total > 0:
        return f"download {100 * completed // total} %"
    return str(said.get("status", ""))[:200]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _error(body: bytes) -> str:
    return str(_parsed(body).get("error", ""))[:500]
